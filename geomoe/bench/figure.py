"""The figure of a bench: accuracy against cost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from geomoe.pages.palette import expert_colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomoe.bench.values import Results, RowCost, RowResult

PANELS: tuple[tuple[str, Callable[[RowCost], float | None]], ...] = (
    ("GFLOP / update", lambda cost: None if cost.step_flops is None else cost.step_flops / 1e9),
    ("parameters", lambda cost: cost.parameters),
    ("MFLOP / image", lambda cost: cost.answer_flops / 1e6),
)


def cost_figure(results: Results) -> Figure | None:
    """Accuracy of each finished row against what it costs, with its deviation; None: no row is finished."""
    rows = [row for row in results.rows if row.cost is not None and "accuracy" in row.scores]
    if not rows:
        return None
    figure = Figure(figsize=(13, 0.5 + 4.5 + 0.2 * (len(rows) // 5)), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    colours = expert_colours(len(rows))
    for axes, (name, of) in zip(panels, PANELS, strict=True):
        for row, colour in zip(rows, colours, strict=True):
            x = None if row.cost is None else of(row.cost)
            if x:
                number = row.scores["accuracy"]
                style = {"color": colour, "markeredgecolor": "#17232b", "capsize": 3, "label": row.label}
                axes.errorbar(x, 100 * number.mean, 100 * (number.sd or 0), fmt=_mark(row), **style)
        axes.set(xlabel=name, xscale="log")
        axes.grid(alpha=0.3, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy (%)" if results.held_out == (None,) else "held-out accuracy (%)")
    handles = dict(zip(*reversed(panels[1].get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False, fontsize=8
    )
    return figure


def _mark(row: RowResult) -> str:
    return "s" if row.twin is not None else "^" if row.experts == "shared" else "o"


def svg_of(figure: Figure) -> str:
    """A figure as SVG; the same figure gives the same text."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "geomoe"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()
