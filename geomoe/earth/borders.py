"""Land, coasts and country borders for maps of a part of the Earth, and the spacing of their graticule.

The file ships with the package: Natural Earth (public domain) at 1:10m, simplified to about a kilometre
(docs/maps.md says how it was made). Like all borders of the package it is illustrative and takes no position.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely
from shapely.affinity import translate

from geomoe.earth.land import ASSETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 0.005  # degrees: the file's unit
WIDEST = 90.0  # largest extent in degrees of a map that counts as one of a part of the Earth
#: Degrees between the lines of a graticule.
GRATICULES = (30.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_LINES = 4  # least number of lines of a graticule on the longer side of a map
_BEYOND = 0.5  # degrees beyond a box in which land is cut, so that no coast runs along the cut

Box = tuple[float, float, float, float]


class Ground(NamedTuple):
    """Land, coasts and borders in a box; longitudes continue beyond 180 if those of the box do.

    Attributes:
        land: polygons of land.
        coasts: lines of the coasts.
        borders: lines of the borders between countries.
    """

    land: shapely.MultiPolygon
    coasts: shapely.MultiLineString
    borders: shapely.MultiLineString


def is_part(box: Box) -> bool:
    """Whether a map of a box is one of a part of the Earth, which shows fine coasts and borders."""
    west, south, east, north = box
    return max(east - west, north - south) <= WIDEST


def graticule_step(box: Box) -> float:
    """Degrees between the lines of a graticule: the widest spacing with four lines on the longer side."""
    west, south, east, north = box
    longer = max(east - west, north - south) * (1 + 1e-9)
    return next((step for step in GRATICULES if longer / step >= _LINES), GRATICULES[-1])


def graticule(low: float, high: float, step: float) -> list[float]:
    """The multiples of a step from ``low`` to ``high`` degrees."""
    first, last = np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6)
    return [round(float(number * step), 6) for number in np.arange(first, last + 1)]


def degree_text(value: float, letters: str) -> str:
    """Degrees as on a graticule: 12° E, 5.5° S, 0°; longitudes beyond 180 are those of the other side."""
    if letters == "EW":
        value = (value + 180) % 360 - 180
    zero = not value or abs(value) == 180
    return f"{abs(value):g}°" + ("" if zero else f" {letters[value < 0]}")


@cache
def ground_in(box: Box, detail: float = 0.0) -> Ground:
    """Land, coasts and borders in a box.

    Args:
        box: west, south, east, north in degrees; east may be beyond 180, west below -180.
        detail: degrees by which a line may be moved to simplify it; smaller islands are left out.
    """
    land, lines = read_borders()
    west, south, east, north = box
    wider = (west - _BEYOND, south - _BEYOND, east + _BEYOND, north + _BEYOND)
    whole: shapely.Geometry = _polygons(shapely.union_all(_cut(land, wider)))
    if detail:
        larger = [one for one in _polygons(whole).geoms if _side(one) > detail]
        whole = shapely.simplify(shapely.MultiPolygon(larger), detail)
    drawn, frame = shapely.union_all(_cut(lines, box)), shapely.box(*box)
    if drawn.geom_type == "MultiLineString":
        drawn = shapely.line_merge(drawn)
    return Ground(
        _polygons(shapely.intersection(whole, frame)),
        _lines(shapely.intersection(whole.boundary, frame)),
        _lines(shapely.simplify(drawn, detail)),
    )


@cache
def read_borders() -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Polygons of land and lines of borders in degrees, longitudes from -180 to 180."""
    with (ASSETS / "borders.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        ends = tuple(np.concatenate([[0], np.cumsum(data[name])]) for name in ("rings", "polygons"))
        land = np.cumsum(data["land"], axis=0, dtype=np.int64) * CELL
        lonlat = np.cumsum(data["borders"], axis=0, dtype=np.int64) * CELL
        owners = np.repeat(np.arange(len(data["lines"])), data["lines"])
        return (
            np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, land, ends)),
            np.asarray(shapely.linestrings(lonlat, indices=owners)),
        )


def _cut(shapes: NDArray[np.object_], box: Box) -> list[shapely.Geometry]:
    """The parts of shapes in a box, also where its longitudes continue beyond 180 or -180."""
    found: list[shapely.Geometry] = []
    bounds = shapely.bounds(shapes)
    for turn in (-360, 0, 360):
        west, south, east, north = box[0] - turn, box[1], box[2] - turn, box[3]
        inside = (
            (bounds[:, 0] <= east)
            & (bounds[:, 2] >= west)
            & (bounds[:, 1] <= north)
            & (bounds[:, 3] >= south)
        )
        cut = shapely.intersection(shapes[inside], shapely.box(west, south, east, north))
        found += [translate(piece, turn) for piece in cut if not piece.is_empty]
    return found


def _side(shape: shapely.Geometry) -> float:
    west, south, east, north = shape.bounds
    return float(max(east - west, north - south))


def _polygons(shape: shapely.Geometry) -> shapely.MultiPolygon:
    return shapely.MultiPolygon([one for one in shapely.get_parts(shape) if one.geom_type == "Polygon"])


def _lines(shape: shapely.Geometry) -> shapely.MultiLineString:
    return shapely.MultiLineString(
        [one for one in shapely.get_parts(shape) if one.geom_type == "LineString" and one.length]
    )
