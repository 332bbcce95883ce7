"""Tables as plain text, rendered by rich."""

from __future__ import annotations

from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table


def render(parts: list[str | Table], width: int) -> str:
    """Strings and tables, one below the other, without colours or trailing blanks."""
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False)
            continue
        title, part.title = part.title, None  # rich would wrap it to the width of the table
        console.print("", title, part, sep="\n", markup=False)
        part.title = title
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def new_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def percent(value: float | None) -> str:
    """Format a share as a percentage with one decimal; a dash if it is undefined."""
    return "-" if value is None else f"{100 * value:.1f}"
