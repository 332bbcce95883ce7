"""The figure of a bench: the score against cost, with methods of one family in one colour and shape."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from geomoe.bench.results.labels import write_labels
from geomoe.bench.results.tables import main_name, spread
from geomoe.catalogue import METHODS
from geomoe.pages.drawing import Drawing, drawing
from geomoe.pages.palette import expert_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from geomoe.bench.results.values import Results, RowCost, RowResult

PANELS: tuple[tuple[str, Callable[[RowCost], float | None]], ...] = (
    ("GFLOP / update", lambda cost: None if cost.step_flops is None else cost.step_flops / 1e9),
    ("million parameters", lambda cost: cost.parameters / 1e6),
    ("MFLOP / image", lambda cost: cost.answer_flops / 1e6),
)
#: Family of methods -> shape of its mark; colours follow in this order.
FAMILIES = {
    "pooled samples": "o",
    "risks or gradients of domains": "v",
    "features matched": "D",
    "location or domain as an input": "P",
    "head of experts": "h",
    "experts for tokens": "X",
    "experts by place": "^",
    "dense twin": "s",
}
ALL_NAMED = 8  # up to this number of rows, each has a label
BEST_NAMED = 3  # if there are more, rows of the front and this number of the best have labels
_EDGE = "#17232b"
_OF_FOLDER = {"pooled": 0, "risks": 1, "alignment": 2, "location": 3}
_OF_NETWORK = {"expert_head": 4, "token_experts": 5, "orthogonal_experts": 5, "top_any_experts": 5}


class CostFigure(NamedTuple):
    """The figure, and a description of each of its marks: id -> words."""

    figure: Figure
    titles: dict[str, str]


class _Mark(NamedTuple):
    row: RowResult
    x: float
    y: float


def family_of(row: RowResult) -> str:
    """The family of a row's method, as in docs/methods.md."""
    names = list(FAMILIES)
    if row.twin is not None:
        return names[7]
    entry = METHODS[row.algorithm.partition("+")[0]]
    folder = entry.target.split(".")[2]
    return names[_OF_FOLDER.get(folder, _OF_NETWORK.get(entry.network, 6))]


def cost_figure(results: Results) -> CostFigure | None:
    """Draw score and deviation of each finished row against its cost; None if no row is finished."""
    rows = [row for row in results.rows if row.cost is not None and results.score in row.scores]
    if not rows:
        return None
    figure, titles = Figure(figsize=(13, 6.2), layout="constrained"), dict[str, str]()
    panels = figure.subplots(1, len(PANELS), sharey=True)
    drawn = []
    for number, (axes, (name, of)) in enumerate(zip(panels, PANELS, strict=True)):
        drawn.append(_marks(rows, results.score, of))
        titles |= _draw(axes, drawn[-1], results, number, name)
    panels[0].set_ylabel(f"{main_name(results)}, percent")
    _legend(figure, rows)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # panels stay where they are, labels are written into them
    for axes, marks in zip(panels, drawn, strict=True):
        _name(axes, marks)
    return CostFigure(figure, titles)


def _marks(rows: Sequence[RowResult], score: str, of: Callable[[RowCost], float | None]) -> list[_Mark]:
    found = [(row, None if row.cost is None else of(row.cost)) for row in rows]
    return [_Mark(row, x, 100 * row.scores[score].mean) for row, x in found if x]


def _draw(axes: Axes, marks: Sequence[_Mark], results: Results, panel: int, name: str) -> dict[str, str]:
    titles = {}
    colours = dict(zip(FAMILIES, expert_colours(len(FAMILIES)), strict=True))
    for number, (row, x, y) in enumerate(marks):
        family, key = family_of(row), f"mark-{panel}-{number}"
        deviation = row.scores[results.score].sd
        if deviation:
            axes.errorbar(x, y, 100 * deviation, color=colours[family], alpha=0.6, capsize=2, lw=1)
        inner, edge = _fill(row, colours[family])
        (mark,) = axes.plot(x, y, FAMILIES[family], ms=7, mfc=inner, mec=edge, mew=0.8)
        mark.set_gid(key)
        titles[key] = f"{row.label} ({family}): {spread(row.scores[results.score])} %, {x:.4g} {name}"
    axes.set(xlabel=name, xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.09)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return titles


def _fill(row: RowResult, colour: str) -> tuple[str, str]:
    """Fill and edge colour of a mark; the mark of the shared expert alone is hollow."""
    return ("none", colour) if row.experts == "shared" else (colour, _EDGE)


def _legend(figure: Figure, rows: Sequence[RowResult]) -> None:
    present = {family_of(row) for row in rows}
    colours = dict(zip(FAMILIES, expert_colours(len(FAMILIES)), strict=True))
    handles = [
        Line2D([], [], ls="", marker=shape, ms=7, mfc=colours[family], mec=_EDGE, mew=0.8, label=family)
        for family, shape in FAMILIES.items()
        if family in present
    ]
    if any(row.experts == "shared" for row in rows):
        edge = colours["experts by place"]
        alone = "the shared expert alone"
        handles.append(Line2D([], [], ls="", marker="^", ms=7, mfc="none", mec=edge, label=alone))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)


def _name(axes: Axes, marks: Sequence[_Mark]) -> None:
    """Write the labels of the front and of the best rows, or of all rows if there are few."""
    points = np.array([(mark.x, mark.y) for mark in marks]).reshape(-1, 2)
    if len(marks) <= ALL_NAMED:
        named = list(range(len(marks)))
    else:
        best = np.argsort(-points[:, 1], kind="stable")[:BEST_NAMED].tolist()
        named = list(dict.fromkeys([*front(points), *best]))
    order = [*named, *(number for number in range(len(marks)) if number not in set(named))]
    write_labels(axes, points[order], [marks[number].row.label for number in named])


def front(points: np.ndarray) -> list[int]:
    """Positions of the points (P, 2) of cost and score that no other point beats in both, by ascending cost.

    Of equal points only the first is returned.
    """
    found: list[int] = []
    for number in np.lexsort((np.arange(len(points)), -points[:, 1], points[:, 0])).tolist():
        if not found or points[number, 1] > points[found[-1], 1]:
            found.append(number)
    return found


def cost_drawing(made: CostFigure) -> Drawing:
    """The figure as a part of the page; the same figure always gives the same text."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "geomoe"}):
        made.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return drawing(stream.getvalue(), _SHOWN, made.titles)


_SHOWN = "Score of each row against operations of an update, parameters, and operations of an image"
