"""Render layers of discs, boxes and regions of the Earth, each with its table, as one offline page.

It draws scores by region and camera, and the findings of a check of a data set. It is a pure function of
plain data, and does not need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.earth.land import coastlines
from geomoe.pages.ground import page_detail, page_ground
from geomoe.pages.shell import assemble

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPTS = ("leaflet.js", "base.js", "atlas.js")
EARTH = (-180.0, -85.0, 180.0, 85.0)
#: matplotlib's cividis (Nuñez, Anderton & Renslow 2018), low to high: alike for every kind of colour vision.
RAMP = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78",
    "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838",
)  # fmt: skip
_STOPS = tuple(tuple(bytes.fromhex(colour[1:])) for colour in RAMP)


class Mark(NamedTuple):
    """One mark on the map: a disc, a box or a region of the Earth, whichever of the three is given.

    A mark with none of them, or with a region of unknown outline, is only in the table.

    Attributes:
        values: a text for each column of its layer; shown in the table, and by a click.
        colour: such as #0072b2.
        lonlat: degrees of a disc's middle, longitude first.
        radius: radius of the disc in pixels.
        box: west, south, east, north in degrees.
        region: name of a region.
        faint: whether to draw it inconspicuously, because it is based on little data.
    """

    values: tuple[str, ...]
    colour: str
    lonlat: tuple[float, float] | None = None
    radius: float = 5.0
    box: tuple[float, float, float, float] | None = None
    region: str | None = None
    faint: bool = False


class Layer(NamedTuple):
    """Marks that are shown together.

    Attributes:
        group: heading of the row of buttons that has the layer's button.
        name: label of its button.
        title: title above its legend and table.
        columns: names of the values.
        listed: number of columns in the table; a click on a mark shows all.
        marks: in the order of the table.
        ramp: text at the low and at the high end of :data:`RAMP`; None: no scale of colours.
        keys: colour and meaning, if colours stand for names.
        note: a sentence about the layer.
    """

    group: str
    name: str
    title: str
    columns: tuple[str, ...]
    listed: int
    marks: Sequence[Mark]
    ramp: tuple[str, str] | None = None
    keys: tuple[tuple[str, str], ...] = ()
    note: str = ""


def ramp_colour(value: float, low: float = 0.0, high: float = 1.0) -> str:
    """The colour of a value on :data:`RAMP`, which goes from ``low`` to ``high``."""
    share = min(max((value - low) / (high - low), 0.0), 1.0) * (len(RAMP) - 1)
    below = min(int(share), len(RAMP) - 2)
    mixed = ((b - a) * (share - below) + a for a, b in zip(*_STOPS[below : below + 2], strict=True))
    return "#" + bytes(round(channel) for channel in mixed).hex()


def render_atlas(
    title: str,
    facts: Sequence[tuple[str, str]],
    layers: Sequence[Layer],
    *,
    about: str = "About this page",
    held_out: str | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Draw layers of marks as one self-contained HTML page.

    Args:
        title: one line that names the page.
        facts: name and value, in the order to print them; the first three are printed under the title.
        layers: the first is shown first.
        about: heading of the facts.
        held_out: name of a region to outline, if its outline is known.
        notes: sentences at the foot of the page.

    Raises:
        ValueError: no layers.
    """
    if not layers:
        raise ValueError("atlas: expected at least one layer")
    shapes, start = coastlines(), start_box(layers)
    ground = None if start is None or paints_regions(layers) else page_ground(start, everywhere=True)
    data = {
        "title": title,
        "about": about,
        "facts": [list(fact) for fact in facts],
        "bounds": list(EARTH),
        "start": None if start is None else list(start),
        "land": list(shapes.values()),
        "ground": ground,
        "detail": None if ground else page_detail(EARTH[0]),
        "regions": {region: number for number, region in enumerate(shapes)},
        "heldOut": {"name": held_out, "shape": shapes[held_out]} if held_out in shapes else None,
        "ramp": list(RAMP),
        "layers": [_layer(layer) for layer in layers],
        "notes": [
            *notes,
            "Coastlines, borders and regions: Natural Earth (public domain), illustrative. Web Mercator "
            "enlarges high latitudes and ends at 85°. Drawn with Leaflet.",
        ],
    }
    return assemble(title, data, _SCRIPTS)


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        **layer._asdict(),
        "columns": list(layer.columns),
        "keys": [list(key) for key in layer.keys],
        "ramp": None if layer.ramp is None else list(layer.ramp),
        "marks": [_mark(mark) for mark in layer.marks],
    }


def _mark(mark: Mark) -> list[Any]:
    """Values, colour, faint, kind, and the numbers of that kind, rounded to 1e-5 degrees (1 m)."""
    head = [list(mark.values), mark.colour, int(mark.faint)]
    if mark.lonlat is not None:
        return [*head, "disc", *(round(float(value), 5) for value in mark.lonlat), round(mark.radius, 1)]
    if mark.box is not None:
        return [*head, "box", *(round(float(value), 5) for value in mark.box)]
    if mark.region in coastlines():
        return [*head, "region", mark.region]
    return [*head, "none"]


def paints_regions(layers: Sequence[Layer]) -> bool:
    """Whether a region is painted, which goes beyond the places of discs and boxes."""
    return any(mark.region in coastlines() for layer in layers for mark in layer.marks)


def start_box(layers: Sequence[Layer]) -> tuple[float, float, float, float] | None:
    """West, south, east, north of the first view, if all discs and boxes are in a part of the Earth."""
    marks = [mark for layer in layers for mark in layer.marks]
    places = [mark.lonlat for mark in marks if mark.lonlat is not None]
    places += [corner for mark in marks if mark.box is not None for corner in (mark.box[:2], mark.box[2:])]
    if not places:
        return None
    west, south = np.min(places, axis=0).tolist()
    east, north = np.max(places, axis=0).tolist()
    span = max(east - west, north - south)
    grow = min(max(span / 10, 0.02), 0.5) if span else 0.5
    return None if east - west > 180 else (west - grow, south - grow, east + grow, north + grow)
