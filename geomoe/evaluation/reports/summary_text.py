"""A summary of many reports as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.support.tables import new_table, percent, render
from geomoe.support.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from geomoe.evaluation.reports.summary_values import Cell, SummaryTable

HEADS = {"accuracy": "accuracy", "macro_f1": "macro F1", "calibration_error": "ECE"}
GROWTH = {
    "peak": "peak",
    "last": "Acc(K_max)",
    "drop": "Drop",
    "relative_drop": "RelDrop",
    "average": "average",
}


def summary_text(tables: Sequence[SummaryTable], width: int) -> str:
    """Return the text of a summary."""
    parts: list[str | Table] = ["percent; mean ± sample standard deviation over runs (seeds, splits)"]
    for table in tables:
        parts.append(_table(table, title_of(table)))
        beside = dict.fromkeys(name for row in table.rows for name in row.beside)
        parts += [_table(table, f"beside it: split {name}", name) for name in beside]
        if table.kind == "growth":
            parts.append(_growth(table))
        if 1 < len(table.targets) < table.domains:
            parts.append(f"targets: {len(table.targets)} of {table.domains} {plural(table.unit)}")
        parts += [
            f"{row.method} lacks {'; '.join(row.lacks)}: not in its mean over targets"
            for row in table.rows
            if row.lacks
        ]
    return render(parts, max(width, max(map(_width, tables))))


def title_of(table: SummaryTable) -> str:
    """Return the title of a table."""
    unit = table.unit
    what = {
        "metrics": "nothing held out",
        "targets": f"accuracy on the held-out {unit}",
        "growth": f"accuracy on the held-out {unit} by the number of source {plural(unit)}, K_s",
    }[table.kind]
    protocol = f" ({table.protocol})" if table.protocol else ""
    return f"{table.data}, split {table.split}{protocol}: {what}"


def head_of(table: SummaryTable, column: str) -> str:
    """Return the heading of a column."""
    return f"worst {table.unit}" if column == "worst" else HEADS.get(column, column)


def cell_text(cell: Cell | None) -> str:
    """Return mean ± deviation in percent; a dash if there is no run."""
    if cell is None:
        return "-"
    return percent(cell.mean) + (f" ± {percent(cell.std)}" if cell.std is not None else "")


def _table(table: SummaryTable, title: str, beside: str | None = None) -> Table:
    """Return a table with a line for each method, on the evaluated or an additional split."""
    made = new_table(title, "method", "runs", *(head_of(table, one) for one in table.columns))
    for row in table.rows:
        cells = row.cells if beside is None else row.beside.get(beside, {})
        runs = sorted({cell.runs for cell in cells.values()}) or [0]
        many = str(runs[0]) if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
        made.add_row(row.method, many, *(cell_text(cells.get(column)) for column in table.columns))
    return made


def _growth(table: SummaryTable) -> Table:
    made = new_table("over the curve", "method", *GROWTH.values(), "K_s of the peak")
    for row in table.rows:
        if row.growth is not None:
            numbers = (percent(getattr(row.growth, name)) for name in GROWTH)
            made.add_row(row.method, *numbers, str(row.growth.peak_domains))
    return made


def _width(table: SummaryTable) -> int:
    """Return the width of the widest line, so that no table is truncated."""
    heads = [max(len(head_of(table, one)), len("100.0 ± 10.0")) + 3 for one in table.columns]
    return max(len(row.method) for row in table.rows) + 12 + sum(heads)
