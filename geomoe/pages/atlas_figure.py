"""Layers of marks as a figure for print: the same places and colours as on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from geomoe.earth.borders import is_part
from geomoe.earth.land import coastlines
from geomoe.pages.atlas import RAMP, paints_regions, start_box
from geomoe.pages.ground import draw_graticule, draw_ground, fill_land, shrunk
from geomoe.support.figures import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from geomoe.earth.borders import Box
    from geomoe.pages.atlas import Layer, Mark

LEAST = 20.0  # extent in degrees of a map of one place, so that its location is recognisable
INK = "#17232b"


@plain_text()
def draw_atlas(layers: Sequence[Layer], title: str) -> Figure:
    """One panel for each layer, below one another."""
    windows = [_window(layer) for layer in layers]
    wide = min(max(map(_width, windows)) + 3.0, 11.0)
    figure = Figure(figsize=(wide, 0.6 + 5.6 * len(layers)), layout="constrained")
    panels = figure.subplots(len(layers), 1, squeeze=False)[:, 0]
    for axes, layer, window in zip(panels, layers, windows, strict=True):
        _land(axes, window)
        for mark in layer.marks:
            _draw(axes, mark)
        _discs(axes, [mark for mark in layer.marks if mark.lonlat is not None])
        west, south, east, north = window
        axes.set(xlim=(west, east), ylim=(south, north), aspect="equal", facecolor="#dfe8ed")
        if is_part(window):
            draw_ground(axes, window)
        draw_graticule(axes, window)
        axes.set_xlabel("longitude (°)", fontsize=8)
        axes.set_ylabel("latitude (°)", fontsize=8)
        axes.set_title(layer.title, fontsize=10)
        _explain(figure, axes, layer)
    figure.suptitle(title)
    return figure


def _width(window: Box) -> float:
    """Width in inches of a map that is about five inches high."""
    west, south, east, north = window
    return 5 * (east - west) / (north - south) * (shrunk(window) if is_part(window) else 1.0)


def _land(axes: Axes, window: Box) -> None:
    if is_part(window):
        fill_land(axes, window)
        return
    rings = [ring for region in coastlines() for ring in _rings(region)]
    axes.add_collection(PolyCollection(rings, facecolors="#ffffff", edgecolors="#8a979e", linewidths=0.4))


def _draw(axes: Axes, mark: Mark) -> None:
    """Draw a box or a region."""
    if mark.box is not None:
        west, south, east, north = mark.box
        place = Rectangle((west, south), east - west, north - south, linewidth=0.3)
        place.set(facecolor=_shade(mark), edgecolor=INK)
        axes.add_patch(place)
    elif mark.lonlat is None and mark.region in coastlines():
        land = _rings(mark.region)
        axes.add_collection(PolyCollection(land, facecolors=mark.colour, edgecolors=INK, linewidths=0.4))


def _discs(axes: Axes, marks: list[Mark]) -> None:
    if marks:
        marks = sorted(marks, key=lambda mark: -mark.radius)  # small ones over large ones
        lon, lat = np.array([mark.lonlat for mark in marks]).T
        size, colours = [mark.radius**2 for mark in marks], [_shade(mark) for mark in marks]
        axes.scatter(lon, lat, s=size, c=colours, edgecolors=INK, linewidths=0.4, zorder=3)


def _shade(mark: Mark) -> str:
    return mark.colour + ("66" if mark.faint else "f2")


def _rings(region: str) -> list[np.ndarray]:
    """Outer rings of a region's land."""
    return [np.array(polygon[0]) for polygon in coastlines()[region]["coordinates"]]


def _window(layer: Layer) -> tuple[float, float, float, float]:
    box = start_box([layer])
    if box is None or paints_regions([layer]):
        return -180, -90, 180, 90
    west, south, east, north = box
    alone = len({mark.box or mark.lonlat for mark in layer.marks} - {None}) == 1
    span = max(east - west, north - south)
    grow = (LEAST - span) / 2 + 2 if alone and span < LEAST else min(2.0, span / 10)
    return max(west - grow, -180), max(south - grow, -90), min(east + grow, 180), min(north + grow, 90)


def _explain(figure: Figure, axes: Axes, layer: Layer) -> None:
    if layer.ramp is not None:
        colours = ScalarMappable(Normalize(0, 1), LinearSegmentedColormap.from_list("atlas", RAMP))
        bar = figure.colorbar(colours, ax=axes, shrink=0.6, pad=0.01)
        bar.set_ticks([0, 1], labels=list(layer.ramp))
    if layer.keys:
        keys = [Patch(facecolor=colour, edgecolor=INK, label=text) for colour, text in layer.keys]
        axes.legend(handles=keys, loc="lower left", fontsize=8, framealpha=0.9)
