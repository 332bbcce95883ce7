"""Fine coasts and country borders for the pages and figures of maps of a part of the Earth."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.polygon import orient

from geomoe.coords import EARTH_RADIUS_KM
from geomoe.earth.borders import WIDEST, degree_text, graticule, graticule_step, ground_in, is_part
from geomoe.earth.fine import CELL, region_lines, whole_earth
from geomoe.earth.land import coastlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from shapely import MultiPolygon

    from geomoe.earth.borders import Box

INK = "#22313a"
AROUND = 0.75  # share of a map's sides by which a page lets readers move it beyond each edge
_FINE = 1000  # positions that can be distinguished on the longer side of a map
_NICE = (1, 2, 5)


def page_ground(box: Box, *, everywhere: bool = False) -> dict[str, Any] | None:
    """Land, coasts and borders in and around a box, for the scripts of a page; None: the box is too wide.

    Args:
        box: west, south, east, north in degrees.
        everywhere: whether to include the coarse land of the rest of the Earth.
    """
    if not is_part(box):
        return None
    around = _around(box)
    found = ground_in(around, _detail(box))
    land, coasts = list(found.land.geoms), list(found.coasts.geoms)
    if everywhere:
        rest = _elsewhere(around)
        land += list(rest.geoms)
        coasts += [line for one in rest.geoms for line in (one.exterior, *one.interiors)]
    digits = _digits(box)
    return {
        "land": [[_rounded(ring, digits) for ring in (one.exterior, *one.interiors)] for one in land],
        "coasts": [_rounded(line, digits) for line in coasts],
        "borders": [_rounded(line, digits) for line in found.borders.geoms],
    }


def page_detail(left: float) -> dict[str, Any]:
    """Fine land by region and borders of the whole Earth, which a page shows when zoomed in to a country.

    Lines are packed, about three characters for each position: see :func:`packed`.

    Args:
        left: longitude at which the map begins.
    """
    rings, borders = whole_earth(left)
    regions = {name: packed(lines) for name, lines in rings.items()}
    return {"cell": CELL, "widest": WIDEST, "left": left, "regions": regions, "borders": packed(borders)}


def page_region(region: str, box: Box) -> list[list[list[float]]]:
    """The fine outline of a region in and around a box, as lines for the scripts of a page."""
    lines = region_lines(region, _around(box), _detail(box))
    return [_rounded(line, _digits(box)) for line in lines.geoms]


def packed(lines: list[NDArray[np.int64]]) -> str:
    """Lines of whole numbers in base 64.

    A line is stored as the number of its positions, its first position and the steps to the next ones. Signed
    numbers are mapped to unsigned ones in the order 0, -1, 1, -2, ... A number has seven bits in each byte,
    the lowest first; the eighth bit means that more follow.

    Args:
        lines: lines, (N, 2) each.
    """
    steps = [np.append(len(line) * 2, _zigzag(np.diff(line, axis=0, prepend=0)).ravel()) for line in lines]
    numbers = np.concatenate(steps)
    size = np.searchsorted([1 << 7, 1 << 14, 1 << 21], numbers, side="right") + 1
    start = np.cumsum(size) - size
    out = np.zeros(int(size.sum()), dtype=np.uint8)
    for byte in range(4):
        more = size > byte
        rest = (numbers[more] >> (7 * byte)) & 127
        out[start[more] + byte] = rest | np.where(size[more] > byte + 1, 128, 0)
    return base64.b64encode(out.tobytes()).decode("ascii")


def _zigzag(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(numbers < 0, -2 * numbers - 1, 2 * numbers)


def _around(box: Box) -> Box:
    """A box, extended by the area to which a page lets readers move the map."""
    west, south, east, north = box
    wide, high = AROUND * (east - west), AROUND * (north - south)
    return (west - wide, max(south - high, -90.0), east + wide, min(north + high, 90.0))


def _digits(box: Box) -> int:
    return max(int(np.ceil(-np.log10(_detail(box)))), 2)


def _elsewhere(box: Box) -> MultiPolygon:
    """The coarse land outside a box."""
    land = shapely.union_all([shapely.make_valid(shape(one)) for one in coastlines().values()])
    west, south, east, north = box
    boxes = [shapely.box(west + turn, south, east + turn, north) for turn in (-360, 0, 360)]
    rest = shapely.difference(land, shapely.union_all(boxes))
    return shapely.MultiPolygon([one for one in shapely.get_parts(rest) if one.geom_type == "Polygon"])


def draw_ground(axes: Axes, box: Box) -> None:
    """Draw coasts, borders and a scale in km on a figure of a part of the Earth, in equal degrees.

    A degree of longitude has the length, relative to one of latitude, that it has in the middle of the box.
    """
    from matplotlib.collections import LineCollection

    found = ground_in(box, _detail(box))
    for lines, width, style in ((found.coasts, 0.7, "solid"), (found.borders, 0.9, (0, (5, 2)))):
        parts = [shapely.get_coordinates(line) for line in lines.geoms]
        drawn = LineCollection(parts, colors=INK, linewidths=width, linestyles=style, zorder=3)  # type: ignore[arg-type]
        axes.add_collection(drawn, autolim=False)
    axes.set_aspect(1 / shrunk(box))
    _scale(axes, box)


def fill_land(axes: Axes, box: Box, colour: str = "#ffffff") -> None:
    """Paint the land of a box, without lakes and inland seas."""
    _paint(axes, ground_in(box, _detail(box)).land, colour, 1.0, 0)


def fade_sea(axes: Axes, box: Box, colour: str, alpha: float) -> None:
    """Cover everything in a box that is not land with a transparent colour."""
    _paint(axes, shapely.difference(shapely.box(*box), ground_in(box, _detail(box)).land), colour, alpha, 2)


def _paint(axes: Axes, area: shapely.Geometry, colour: str, alpha: float, depth: int) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    polygons = [orient(one) for one in shapely.get_parts(area) if one.geom_type == "Polygon"]
    rings = [Path(ring.coords, closed=True) for one in polygons for ring in (one.exterior, *one.interiors)]
    if rings:
        path = Path.make_compound_path(*rings)
        axes.add_patch(PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0, zorder=depth))


def draw_graticule(axes: Axes, box: Box) -> None:
    """Draw the graticule of a box, its degrees on the axes."""
    west, south, east, north = box
    step = graticule_step(box)
    lon, lat = graticule(west, east, step), graticule(south, north, step)
    axes.set_xticks(lon, [degree_text(value, "EW") for value in lon])
    axes.set_yticks(lat, [degree_text(value, "NS") for value in lat])
    axes.grid(color=INK, linewidth=0.3, alpha=0.45, zorder=2)


def shrunk(box: Box) -> float:
    """Length of a degree of longitude relative to one of latitude in the middle of a box, at least 1/20."""
    return max(float(np.cos(np.radians((box[1] + box[3]) / 2))), 0.05)


def nice_km(box: Box) -> float:
    """A round number of km that is at most a quarter of a box's width: 1, 2 or 5 times a power of ten."""
    most = np.radians(box[2] - box[0]) * EARTH_RADIUS_KM * shrunk(box) / 4
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(one * power for one in _NICE if one * power <= most))


def _scale(axes: Axes, box: Box) -> None:
    """Draw a scale bar in km, which is exact in the middle of the box."""
    west, south, east, north = box
    km = nice_km(box)
    long = km / (np.radians(1) * EARTH_RADIUS_KM * shrunk(box))
    left, low = east - 0.03 * (east - west) - long, south + 0.035 * (north - south)  # legends are on the left
    for colour, width in (("white", 5.0), ("black", 2.0)):
        axes.plot([left, left + long], [low, low], color=colour, linewidth=width, zorder=6)
    text = axes.annotate(
        f"{km:g} km",
        (left + long / 2, low),
        (0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        zorder=6,
    )
    text.set_bbox({"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8, "linewidth": 0})


def _detail(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1]) / _FINE


def _rounded(line: shapely.Geometry, digits: int) -> list[list[float]]:
    return np.round(shapely.get_coordinates(line), digits).tolist()
