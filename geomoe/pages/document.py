"""A page of text, tables and figures: one HTML file without scripts that opens without a network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, StrictUndefined

from geomoe.pages.shell import ASSETS

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cell(NamedTuple):
    """A cell of a table: text, a relative link (None: none), and whether it is the best of its column."""

    text: str
    link: str | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        heads: names of the columns; the first is to the left, the others to the right.
        rows: cells by row.
        note: a sentence below it.
        anchor: id that links can name.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    anchor: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        svg: the drawing.
        alt: what it shows, in words.
    """

    svg: str
    alt: str

    @property
    def uri(self) -> str:
        """The drawing as a data URI; browsers run no script in such an image."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode("ascii")


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and tables or figures."""

    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Table | Picture, ...] = ()


def render_document(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Render the page; every text is escaped, and its policy allows no script and no request.

    Args:
        title: of the page.
        facts: name and value, listed under the title.
        sections: in order.

    Raises:
        ValueError: a link that is not relative.
    """
    for link in (cell.link for one in sections for part in one.parts for cell in _cells(part)):
        if link is not None and (":" in link.partition("/")[0] or link.startswith(("/", "\\"))):
            raise ValueError(f"document: expected relative links; got {link!r}")
    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = (ASSETS / "document.html.jinja").read_text(encoding="utf-8")
    parts = [(one, [(isinstance(part, Table), part) for part in one.parts]) for one in sections]
    return templates.from_string(text).render(title=title, facts=list(facts), sections=parts)


def _cells(part: Table | Picture) -> list[Cell]:
    return [cell for row in part.rows for cell in row] if isinstance(part, Table) else []
