"""Maps across the antimeridian: bring all longitudes to one continuous range.

Such a map continues beyond 180 degrees. Land and samples have longitudes from -180 to 180; those west of the
map's left edge are drawn 360 degrees further east. On other maps nothing moves.
shapely works in a plane, and has no operation that joins what the antimeridian cuts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely import union_all
from shapely.affinity import translate
from shapely.geometry import shape

from geomoe.earth.land import coastlines

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry import Polygon

    from geomoe.coords import Grid


def left_edge(grid: Grid) -> float:
    """Longitude at which the map of a grid begins; it is 360 degrees wide.

    -180 if the grid lies on one side of the antimeridian; else opposite the grid's middle, so that the
    grid and as much of the Earth on either side of it are on the map.
    """
    west, _, east, _ = grid.bounds
    return -180.0 if east <= 180 else (west + east) / 2 - 180


def place_lon(lon: NDArray[np.float64], left: float) -> NDArray[np.float64]:
    """Longitudes from -180 to 180 on a map that begins at ``left``: in [left, left + 360)."""
    return np.where(lon < left, lon + 360, lon)


@cache
def outlines(left: float) -> dict[str, dict[str, Any]]:
    """GeoJSON MultiPolygon of the land of each region, on a map that begins at ``left``.

    Land that the antimeridian cuts is joined there, so that no coast runs along it. Land across an edge
    of the map is complete at both edges.
    """
    if left == -180:
        return coastlines()
    return {region: _outline(geometry, left) for region, geometry in coastlines().items()}


def _outline(geometry: dict[str, Any], left: float) -> dict[str, Any]:
    lands = list(shape(geometry).geoms)
    lands += [translate(land, 360) for land in lands]
    cut = [land for land in lands if 180 in (land.bounds[0], land.bounds[2])]
    whole = [land for land in lands if land not in cut]
    joined = union_all(cut)
    whole += list(getattr(joined, "geoms", [] if joined.is_empty else [joined]))
    drawn = [land for land in whole if land.bounds[2] > left and land.bounds[0] < left + 360]
    return {"type": "MultiPolygon", "coordinates": [_rings(land) for land in drawn]}


def _rings(land: Polygon) -> list[list[list[float]]]:
    """A polygon's rings with the two decimals that the outlines have."""
    return [np.round(ring.coords, 2).tolist() for ring in (land.exterior, *land.interiors)]
