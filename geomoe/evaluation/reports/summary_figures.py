"""Figures of a summary: bars by target or metric, curves over the number of source domains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from geomoe.evaluation.reports.figures import COLOURS
from geomoe.evaluation.reports.summary_text import head_of, title_of
from geomoe.support.figures import plain_text
from geomoe.support.names import file_name
from geomoe.support.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from geomoe.evaluation.reports.summary_values import SummaryRow, SummaryTable

MARKERS = "os^Dvp*"


@plain_text()
def draw(tables: Sequence[SummaryTable]) -> dict[str, Figure]:
    """All figures of a summary: file name without ending -> figure."""
    names = [file_name(f"{table.data}-{table.split}-{table.kind}") for table in tables]
    again = {name for name in names if names.count(name) > 1}
    return {
        f"{name}-{number}" if name in again else name: _figure(table)
        for number, (name, table) in enumerate(zip(names, tables, strict=True))
    }


def _figure(table: SummaryTable) -> Figure:
    wide = 2 + 0.45 * max(len(table.columns) * len(table.rows), 8)
    figure = Figure(figsize=(min(wide, 20), 4.5), layout="constrained")
    axes = figure.subplots()
    (_curves if table.kind == "growth" else _bars)(axes, table)
    axes.set_ylabel("percent")
    axes.set_title(title_of(table), fontsize=9, wrap=True)
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _numbers(row: SummaryRow, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column in percent; NaN for missing values."""
    cells = [row.cells.get(column) for column in columns]
    mean = [np.nan if cell is None else cell.mean for cell in cells]
    std = [np.nan if cell is None or cell.std is None else cell.std for cell in cells]
    return 100 * np.array(mean, dtype=float), 100 * np.array(std, dtype=float)


def _bars(axes: Axes, table: SummaryTable) -> None:
    columns, rows = table.columns, table.rows
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        mean, std = _numbers(row, columns)
        x = np.arange(len(columns)) + (number - (len(rows) - 1) / 2) * width
        axes.bar(x, mean, width * 0.95, color=COLOURS[number % len(COLOURS)], label=row.method)
        known = np.isfinite(std)
        axes.errorbar(x[known], mean[known], std[known], fmt="none", ecolor="#333333", capsize=3)
    names = [head_of(table, column) for column in columns]
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if sum(map(len, names)) > 90 else {}
    axes.set_xticks(np.arange(len(columns)), names, **turned)


def _curves(axes: Axes, table: SummaryTable) -> None:
    columns = table.columns
    x = np.array([int(column) for column in columns])
    for number, row in enumerate(table.rows):
        mean, std = _numbers(row, columns)
        known, colour = np.isfinite(mean), COLOURS[number % len(COLOURS)]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(x[known], mean[known], marker=marker, color=colour, label=row.method)
        low, high = mean - np.nan_to_num(std), mean + np.nan_to_num(std)
        axes.fill_between(x[known], low[known], high[known], color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(x)
    axes.set_xlabel(f"source {plural(table.unit)}, K_s")
