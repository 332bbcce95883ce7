"""The figures of docs/theory.md, as small SVG files that are the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tools.theory import growth, invariance, subsets
from tools.theory.information import pairs, penalty, seen
from tools.theory.representations import channels
from tools.theory.worlds import random_worlds

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = {"fixed": "#0072b2", "pooled": "#d55e00", "averaged": "#009e73"}
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def draw(folder: Path) -> list[Path]:
    """Write every figure to a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    style = {"svg.hashsalt": "geomoe", "svg.fonttype": "none", "font.size": 9, "path.simplify": True}
    written = []
    with mpl.rc_context(style):
        for name, make in FIGURES.items():
            path = folder / f"theory-{name}.svg"
            make().savefig(path, metadata={"Date": None, "Creator": None})
            written.append(path)
    return written


def growth_figure() -> Figure:
    """V_K of the chain of four domains: the first term fixed, pooled and averaged."""
    figure, axes = _panels(2, "number of domains in K", "optimum V_K, bits")
    for ax, rate in zip(axes, (0.1, 10.0), strict=True):
        for (reading, own), values in growth.growing((rate,)).items():
            counts = range(1, len(values) + 1)
            ax.plot(counts, values, "o-", color=COLOURS[reading], label=f"I(Z; Y) {reading}")
            ax.set_title(f"lambda = {own:g}", fontsize=9)
        ax.set_xticks(range(1, growth.CHAIN + 1))
    axes[0].legend(frameon=False)
    return figure


def equivalence_figure() -> Figure:
    """The term of a pair against the largest distance of its laws, for every representation."""
    figure, (ax,) = _panels(1, "largest total variation of P(Z | y, i), P(Z | y, j)", "I(Z; D | Y), bits")
    points = set()
    for one in random_worlds(40, 3, 4, seed=2, least=1):
        for channel in channels(4)[1:]:
            for i, j in pairs(range(3)):
                table = seen(one.joint[[i, j]], channel).astype(float)
                laws = table / table.sum(axis=2, keepdims=True)
                distance = np.abs(laws[0] - laws[1]).sum(axis=1).max() / 2
                points.add((round(float(distance), 3), round(penalty(one, channel, i, j), 3)))
    ax.scatter(*np.array(sorted(points)).T, s=6, color=COLOURS["fixed"])
    return figure


def chain_figure() -> Figure:
    """I(Z; D | Y) of three domains against the terms of all pairs, and of a chain of pairs."""
    figure, axes = _panels(2, "", "I(Z; D | Y) of three domains, bits")
    found = np.array(sorted(invariance.chains()))
    heads = ("all three pairs", "the pairs (1, 2) and (2, 3)")
    for ax, terms, head in zip(axes, found.T[:2], heads, strict=True):
        missed = (terms == 0) & (found[:, 2] > 0)
        ax.scatter(terms[~missed], found[~missed, 2], s=6, color=COLOURS["fixed"])
        ax.scatter(terms[missed], found[missed, 2], s=14, marker="x", color=COLOURS["pooled"])
        ax.set(title=head, xlabel="sum of the terms, bits")
        ax.title.set_fontsize(9)
    return figure


def subset_figure() -> Figure:
    """The term within a subset against the largest distance of its laws, for every router."""
    across = "largest total variation of P(Z | y, i, m), P(Z | y, j, m)"
    figure, (ax,) = _panels(1, across, "I(Z; D | Y, S = m), bits")
    found = invariance.subset_points()
    kinds = {
        False: ("fixed", "o", "every law exists, or two differ"),
        True: ("pooled", "x", "0 bits, a law undefined"),
    }
    for lacking, (colour, mark, label) in kinds.items():
        points = np.array(sorted(one[:2] for one in found if one[2] is lacking))
        ax.scatter(*points.T, s=6 + 14 * lacking, marker=mark, color=COLOURS[colour], label=label)
    ax.legend(frameon=False)
    return figure


def threshold_figure() -> Figure:
    """How far the optimum of J lies above the best invariant representation, by lambda."""
    figure, (ax,) = _panels(1, "lambda", "V - best invariant J, bits")
    one = growth.mixing()
    levels = growth.invariant(one)
    found = [growth.above(one, rate) for rate in RATES]
    sure = [certain - levels.deterministic for certain, _ in found]
    ax.plot(RATES, sure, "s-", color=COLOURS["fixed"], label="deterministic maps, all enumerated")
    free = [lower - levels.stochastic for _, lower in found]
    ax.plot(RATES, free, "o-", color=COLOURS["pooled"], label="stochastic, two values of Z (lower bound)")
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=1e-5)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return figure


def routing_figure() -> Figure:
    """Whole cells stay aligned while the subset does not."""
    figure, (ax,) = _panels(1, "how much the router looks at x (t)", "bits")
    strengths = np.linspace(0, 1, 21)
    inside = [invariance.routed_coins(float(strength)) for strength in strengths]
    ax.plot(strengths, inside, color=COLOURS["pooled"], label="I(Z; D | Y, S = m)")
    ax.plot(strengths, np.zeros(21), color=COLOURS["fixed"], label="I(Z; D | Y) of the whole cells")
    ax.legend(frameon=False)
    return figure


def access_figure() -> Figure:
    """With and without S: bits about Y against how well X tells S."""
    figure, axes = _panels(2, "P(W = S): how well X tells the subset", "bits about Y")
    lines = {"given": "subset-conditioned, S given", "everything": "I(X; Y): no S, any representation"}
    lines |= {"routed": "subset-conditioned, S guessed from X", "invariant": "best globally invariant"}
    marks = dict(zip(lines, ("k-", "s--", "o-", "x:"), strict=True))
    for ax, second in zip(axes, ("1", "4/5"), strict=True):
        found = subsets.hinted(second)
        for name, label in lines.items():
            values = [getattr(one, name) for _, one in found]
            ax.plot([share for share, _ in found], values, marks[name], markersize=4, label=label)
        ax.set_title(f"second subset: P(X2 = Y) = {second}", fontsize=9)
        ax.set_ylim(0, 1.05)
    axes[1].legend(frameon=False, fontsize=7)
    return figure


def _panels(count: int, x: str, y: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(3.6 * count + 1.2 * (count == 1), 3), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, count, sharey=True)))
    for ax in axes:
        ax.set_xlabel(x)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(y)
    return figure, axes


FIGURES = {
    "growth": growth_figure,
    "equivalence": equivalence_figure,
    "chain": chain_figure,
    "subset": subset_figure,
    "threshold": threshold_figure,
    "routing": routing_figure,
    "access": access_figure,
}
