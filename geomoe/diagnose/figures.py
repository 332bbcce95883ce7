"""Figures of a diagnosis, drawn only from its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from geomoe.diagnose.between import DIGITS, land_points
from geomoe.pages.palette import expert_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from geomoe.diagnose.layer_values import Layer, Matrix
    from geomoe.diagnose.values import Change, Pair, PairLayer, Probe

CELLS = 6  # domains with a heat map of their own
MANY = 20  # rows or columns of a heat map that get numbers
INK = "#17232b"


def numbers(matrix: Matrix | Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    """A matrix with NaN for missing values."""
    return np.array([[np.nan if value is None else value for value in row] for row in matrix], dtype=float)


def load_figure(layers: Sequence[Layer]) -> Figure:
    """Draw the mean gate weight and top-1 share of each expert, in one panel for each layer."""
    figure = Figure(figsize=(1 + 3.4 * len(layers), 2.9), layout="constrained")
    for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers, strict=True):
        load, top1 = numbers([layer.routing.load, layer.routing.top1_share])
        place = np.arange(len(load))
        axes.bar(place - 0.2, load, 0.38, color=expert_colours(len(load)), label="mean weight")
        axes.bar(place + 0.2, top1, 0.38, color="#b8c2c9", label="top-1 share (grey)")
        axes.axhline(1 / len(layer.routing.experts), color=INK, linewidth=0.8, linestyle="--")
        axes.set(xticks=place, xlabel="expert", ylim=(0, 1), title=layer.name)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def domain_figure(layers: Sequence[Layer]) -> Figure:
    """Draw P(e|d), the mean gate weight by domain, as a heat map for each layer."""
    names = list(layers[0].routing.by_domain)
    height = 1.3 + 0.3 * len(names)
    figure = Figure(figsize=(1.6 + 3.4 * len(layers), min(height, 14)), layout="constrained")
    for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers, strict=True):
        heat(axes, numbers(list(layer.routing.by_domain.values())), (0, 1), "viridis", names)
        axes.set(xlabel="expert", title=f"P(e|d), {layer.name}")
    return figure


def class_figure(layer: Layer, classes: Sequence[str]) -> Figure:
    """Draw P(e|d, y) of one layer as a heat map for each of the first :data:`CELLS` domains."""
    cells = list(layer.routing.by_domain_class.items())[:CELLS]
    shown = [name for name in classes if any(name in one for _, one in cells)]
    columns = min(len(cells), 3)
    lines = -(-len(cells) // columns)
    height = lines * (0.9 + 0.2 * len(shown))
    figure = Figure(figsize=(1.8 + 2.9 * columns, min(height, 24)), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    experts = len(layer.routing.load)
    for axes, (domain, one) in zip(panels, cells, strict=False):
        rows = [one.get(name, (None,) * experts) for name in shown]
        heat(axes, numbers(rows), (0, 1), "viridis", shown)
        axes.set_title(f"{domain}", fontsize="medium")
    for axes in panels[len(cells) :]:
        axes.set_visible(False)
    figure.suptitle(f"P(e|d, y), {layer.name}", fontsize="medium")
    return figure


def likeness_figure(layers: Sequence[Layer]) -> Figure:
    """Mean cosine and linear CKA between the experts of each layer."""
    figure = Figure(figsize=(1 + 3.6 * len(layers), 6.6), layout="constrained")
    panels = figure.subplots(2, len(layers), squeeze=False)
    for at, layer in enumerate(layers):
        heat(panels[0, at], numbers(layer.outputs.cosine), (-1, 1), "RdBu_r")
        heat(panels[1, at], numbers(layer.outputs.cka), (0, 1), "magma")
        panels[0, at].set_title(f"cosine, {layer.name}")
        panels[1, at].set(title=f"linear CKA, {layer.name}", xlabel="expert")
    return figure


def forced_figure(layers: Sequence[Layer]) -> Figure:
    """Accuracy in percent by domain, with normal routing, the shared expert alone, and each expert forced."""
    names = list(layers[0].forced.by_domain)
    figure = Figure(figsize=(1.6 + 4 * len(layers), min(1.4 + 0.3 * len(names), 14)), layout="constrained")
    for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers, strict=True):
        forced = layer.forced
        heads, rows = ["all"], [[forced.routed[name]] for name in names]
        if forced.shared:
            heads.append("SE")
            rows = [[*row, forced.shared[name]] for row, name in zip(rows, names, strict=True)]
        table = 100 * numbers(
            [
                [*row, *(forced.by_domain[name][one] for one in layer.routing.experts)]
                for row, name in zip(rows, names, strict=True)
            ]
        )
        low, high = float(np.nanmin(table)), float(np.nanmax(table))
        heat(axes, table, (low, high if high > low else low + 1), "viridis", names, "{:.0f}")
        axes.set_xticks(range(table.shape[1]), [*heads, *map(str, layer.routing.experts)])
        axes.set(xlabel="forced expert", title=f"accuracy (%), {layer.name}")
    return figure


def geography_figure(changes: Sequence[Change]) -> Figure:
    """Points of accuracy lost at other places, with intervals, and the share of answers that changed."""
    figure = Figure(figsize=(9, 1 + 0.36 * len(changes)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(changes))
    loss = 100 * np.array([one.loss for one in changes])
    left.barh(place, loss, 0.6, color="#0072b2")
    for at, one in enumerate(changes):
        if one.loss_interval is not None:
            left.plot(100 * np.array(one.loss_interval), [at, at], color=INK, linewidth=1.5)
    left.axvline(0, color=INK, linewidth=0.8)
    left.set_yticks(place, [one.what for one in changes])
    left.set(xlabel="accuracy lost (points)")
    left.invert_yaxis()
    right.barh(place, [100 * one.changed for one in changes], 0.6, color="#e69f00")
    right.set(xlabel="answers changed (%)", xlim=(0, None))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def information_figure(layers: Sequence[Layer]) -> Figure:
    """Mutual information of the dominant expert with each property, and 95 % of what permutations give."""
    names = list(layers[0].information)
    figure = Figure(figsize=(1.8 + 3.6 * len(layers), 1.6 + 0.45 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(layers), squeeze=False, sharey=True, sharex=True)[0]
    marks = {"samples": "o", "blocks": "s", "within continents": "D"}
    for axes, layer in zip(panels, layers, strict=True):
        for at, one in enumerate(layer.information.values()):
            axes.barh(at, one.nats, 0.6, color="#56b4e9")
            for kind, chance in one.chance.items():
                axes.plot(chance.high, at, marks[kind], color=INK, markersize=5, fillstyle="none")
        axes.set_yticks(range(len(names)), names)
        axes.set(title=layer.name, xlabel="nats")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    for kind, mark in marks.items():
        panels[0].plot([], [], mark, color=INK, fillstyle="none", label=f"95 % by permuting {kind}")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def probe_figure(probe: Probe) -> Figure:
    """Accuracy of the domain probe within each class, and the most frequent domain's share."""
    shown = probe.classes
    figure = Figure(figsize=(min(2 + 0.45 * len(shown), 14), 4), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(shown))
    axes.bar(place, [100 * one.accuracy for one in shown.values()], 0.7, color="#009e73", label="probe")
    chance = [100 * one.chance for one in shown.values()]
    axes.plot(place, chance, "_", color=INK, markersize=14, label="most frequent domain")
    axes.set_xticks(place, list(shown), rotation=90, fontsize="small")
    axes.set(ylabel="domain read correctly (%)", ylim=(0, 100))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    return figure


def pair_figure(layers: Sequence[PairLayer]) -> Figure:
    """r, J and agreement of each layer, before and after matching the experts."""
    figure = Figure(figsize=(1.4 + 3.6 * len(layers), 3.1), layout="constrained")
    panels = figure.subplots(1, len(layers), squeeze=False, sharey=True)[0]
    for axes, one in zip(panels, layers, strict=True):
        before = [one.r, one.overlap, one.samples.same, one.map.same if one.map else None]
        after = [
            one.r_matched,
            one.overlap_matched,
            one.samples.matched,
            one.map.matched if one.map else None,
        ]
        place = np.arange(4)
        axes.bar(place - 0.2, numbers([before])[0], 0.38, color="#b8c2c9", label="same numbers")
        axes.bar(place + 0.2, numbers([after])[0], 0.38, color="#0072b2", label="matched experts")
        experts = len(one.partner)
        if experts > 1:
            axes.plot([-0.4, 0.4], 2 * [-1 / (experts - 1)], ":", color="#d55e00", label="-1 / (E - 1)")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xticks(place, ["r", "J", "samples", "land"])
        axes.set(title=one.name, ylim=(-1.05, 1.05))
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def map_figure(pair: Pair, first: dict[str, str], second: dict[str, str]) -> Figure:
    """Dominant expert on land: a row for each layer, a column for each checkpoint, colours matched."""
    lonlat = land_points()
    figure = Figure(figsize=(11, 2.7 * len(pair.layers)), layout="constrained")
    for axes, one in zip(figure.subplots(len(pair.layers), 2, squeeze=False), pair.layers, strict=True):
        partner = np.array(one.partner if one.map is None else one.map.partner)
        colours = np.array(expert_colours(len(partner)))
        for side, name, land, shown in (
            (axes[0], pair.first, first, np.arange(len(partner))),
            (axes[1], pair.second, second, np.argsort(partner)),
        ):
            expert = np.array([DIGITS.index(letter) for letter in land[one.name]])
            side.scatter(*lonlat.T, s=2.5, c=colours[shown[expert]], linewidths=0)
            side.set(title=f"{name}, {one.name}", xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
            side.set(xticks=[], yticks=[])
    return figure


def heat(
    axes: Axes,
    matrix: NDArray[np.float64],
    limits: tuple[float, float],
    colours: str,
    names: Sequence[str] | None = None,
    form: str = "{:.2f}",
) -> None:
    """Draw a heat map with its numbers; ``names`` are those of the rows."""
    scale = Normalize(*limits, clip=True)
    image = axes.imshow(matrix, cmap=colours, norm=scale, aspect="auto")
    if matrix.shape[0] <= MANY and matrix.shape[1] <= MANY:
        for (row, column), value in np.ndenumerate(matrix):
            red, green, blue, _ = (
                image.cmap(float(scale(float(value)))) if np.isfinite(value) else (1, 1, 1, 1)
            )
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = form.format(value) if np.isfinite(value) else "-"
            colour = "white" if dark else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(matrix.shape[1]))
    axes.set_yticks(range(matrix.shape[0]), names or list(map(str, range(matrix.shape[0]))), fontsize="small")
