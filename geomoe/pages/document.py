"""A page of text, tables and figures: one HTML file that needs no network and runs no script."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from geomoe.pages.shell import render_asset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Warned:
    """A paragraph that stands out: where, and what."""

    where: str
    text: str
    kind: ClassVar[str] = "warning"


@dataclass(frozen=True)
class Picture:
    """A figure: data URI, width in pixels, and a caption that also stands for it where it is not seen."""

    uri: str
    width: int
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Listing:
    """A table that can be folded: its title, names of the columns, rows of text, and whether it is open."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    open: bool = False
    kind: ClassVar[str] = "table"


Part = Text | Heading | Warned | Picture | Listing


@dataclass(frozen=True)
class Section:
    """A part of the page with a title, to which its head has a link."""

    title: str
    parts: tuple[Part, ...]


def render_document(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Render the page.

    Args:
        title: of the page.
        facts: name and value, below the title.
        sections: in order.
    """
    return render_asset("document.html.jinja", ("document.css",), title=title, facts=facts, sections=sections)


def picture(figure: Figure, caption: str, dpi: int = 144) -> Picture:
    """A matplotlib figure as PNG in the page, with twice the pixels of its width on the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/png;base64,{data}", round(figure.get_figwidth() * dpi / 1.5), caption)
