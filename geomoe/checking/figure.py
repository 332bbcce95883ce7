"""Map of the splits of a data set, and of samples too near to another split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from geomoe.checking.leakage import different_places, known_places
from geomoe.earth.borders import is_part
from geomoe.earth.land import coastlines
from geomoe.pages.ground import draw_graticule, draw_ground
from geomoe.pages.palette import expert_colours
from geomoe.support.figures import plain_text
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.checking.check import Check
    from geomoe.datasets.base import LabelledImages
    from geomoe.earth.borders import Box

MOST = 20_000  # points of a split that are drawn; if there are more, every n-th is drawn


@plain_text()
def draw_places(parts: Mapping[str, LabelledImages], found: Check, title: str) -> Figure | None:
    """Draw one map of all splits; return None if no place is known.

    Args:
        parts: name -> split; the first is the training split.
        found: result of the check; samples of other splits near the first split are circled, and samples
            outside the country of their code are crossed.
        title: title above the map.
    """
    shown = {name: known_places(data) for name, data in parts.items() if name != "held_out"}
    shown = {name: places for name, places in shown.items() if len(places)}
    if not shown:
        return None
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    window = _window(np.concatenate([*shown.values()]))
    axes = figure.subplots()
    axes.set_aspect("equal")
    if is_part(window):
        draw_ground(axes, window)
    draw_graticule(axes, window)
    for geometry in () if is_part(window) else coastlines().values():
        rings = [np.array(ring) for polygon in geometry["coordinates"] for ring in polygon]
        axes.add_collection(LineCollection(rings, colors="#8a979e", linewidths=0.4), autolim=False)
    for (name, places), colour in zip(shown.items(), expert_colours(len(shown)), strict=True):
        unique, _ = different_places(places)
        points = _some(unique)
        label = f"{name}: {counted(len(places), 'sample')}, {counted(len(unique), 'place')}"
        axes.scatter(points[:, 0], points[:, 1], s=7, color=colour, linewidths=0, label=label)
    near, wrong = (_odd(found, why) for why in ("near", "country"))
    if len(near):
        lon, lat = _some(near).T
        label = f"within {found.near_km:g} km of {next(iter(parts))}: {counted(len(near), 'place')}"
        axes.scatter(lon, lat, s=45, label=label, facecolors="none", edgecolors="black", linewidths=0.8)
    if len(wrong):
        lon, lat = _some(wrong).T
        label = f"not in the country of their code: {counted(len(wrong), 'place')}"
        axes.scatter(lon, lat, s=45, label=label, marker="x", color="#c1121f", linewidths=1.3)
    west, south, east, north = window
    axes.set(xlim=(west, east), ylim=(south, north), title=title)
    axes.legend(loc="lower left", fontsize=8, framealpha=0.9)
    return figure


def _window(places: NDArray[np.float64]) -> Box:
    """The drawn box: the places with a margin of a tenth, or the whole Earth if they span much of it."""
    (west, south), (east, north) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    grow = max(max(east - west, north - south) / 10, 0.05)
    box = (west - grow, south - grow, east + grow, north + grow)
    return box if is_part(box) else (-180.0, -90.0, 180.0, 90.0)


def _odd(found: Check, why: str) -> NDArray[np.float64]:
    """Return the distinct places of samples that are suspicious for one reason."""
    places = [odd.lonlat for odd in found.odd if odd.why == why and odd.split != "held_out"]
    return different_places(np.concatenate([np.empty((0, 2)), *places]))[0]


def _some(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[:: -(-len(points) // MOST)]
