"""A page of text, tables and figures: one HTML file without scripts that opens without a network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from geomoe.pages.drawing import Drawing
from geomoe.pages.shell import render_asset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure


class Cell(NamedTuple):
    """A cell of a table: text, a relative link (None: none), and whether it is the best of its column."""

    text: str
    link: str | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        heads: names of the columns; the first column is aligned left, the others right.
        rows: cells by row.
        note: a sentence below the table.
        anchor: id for links to the table.
        title: title with which the table can be folded; empty: it cannot be folded.
        open: whether a table with a title is unfolded at first.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    anchor: str | None = None
    title: str = ""
    open: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Bitmap:
    """A bitmap figure: PNG as a data URI, width on the page in pixels, and a caption, also the alt text."""

    uri: str
    width: int
    caption: str
    kind: ClassVar[str] = "bitmap"


@dataclass(frozen=True)
class Text:
    """A paragraph among the parts."""

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


Part = Table | Drawing | Bitmap | Text | Heading | Warned


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and further parts in order."""

    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


def render_document(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Render the page; every text is escaped, and the page's policy allows no script and no request.

    If there are several sections, links to them are at the top.

    Args:
        title: title of the page.
        facts: name and value, listed under the title.
        sections: sections of the page, in order.

    Raises:
        ValueError: a link that is not relative.
    """
    for link in (cell.link for one in sections for part in one.parts for cell in _cells(part)):
        if link is not None and (":" in link.partition("/")[0] or link.startswith(("/", "\\"))):
            raise ValueError(f"document: expected relative links; got {link!r}")
    values = {"title": title, "facts": list(facts), "sections": list(sections)}
    return render_asset("document.html.jinja", ("document.css",), **values)


def listing(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, open: bool = False) -> Table:
    """A table of text that can be folded."""
    return Table(tuple(heads), tuple(tuple(map(Cell, row)) for row in rows), title=title, open=open)


def bitmap(figure: Figure, caption: str, dpi: int = 144) -> Bitmap:
    """A matplotlib figure as PNG, with one and a half times the pixels of its width on the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Bitmap(f"data:image/png;base64,{data}", round(figure.get_figwidth() * dpi / 1.5), caption)


def _cells(part: Part) -> list[Cell]:
    return [cell for row in part.rows for cell in row] if isinstance(part, Table) else []
