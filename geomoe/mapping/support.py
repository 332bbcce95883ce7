"""Where a map is supported by training data: the land near training places, and their bounding box.

Routers answer everywhere, also far from all training places. The shares and verdicts of a map count only
cells near training places; the other cells are drawn fainter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import shapely

from geomoe.coords import EARTH_RADIUS_KM
from geomoe.earth.borders import ground_in, is_part
from geomoe.earth.extent import extent_km
from geomoe.earth.land import earth_on
from geomoe.earth.nearest import NearestPlace, neighbour_km

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.coords import Grid

NEAREST, FURTHEST = 50.0, 500.0  # bounds of the reach in km
PART = 0.25  # share of the extent of the places that replaces the lower bound if it is smaller
LEAST_KM = 1.0  # the lowest bound of the reach
STEPS = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # sides of cells of a map that fits its data
_CELLS = 120  # least number of cells on the longer side of such a map
_DEGREE_KM = np.pi / 180 * EARTH_RADIUS_KM
#: The areas that shares may refer to, in words.
NEAR_LAND, ALL_LAND = "land near training places", "all land"
NEAR_SEA, NO_LAND = "cells near training places, none on land", "all cells, none on land"
FAR = "all cells, none near training places"
_WIDE = 180.0  # degrees of longitude; a wider map becomes one of the whole Earth


class Support(NamedTuple):
    """Where training saw images, on a grid.

    Attributes:
        km: (H, W) km from the centre of a cell to the nearest training place.
        near: (H, W) bool, cells within ``reach_km`` plus half the diagonal of a cell.
        counted: (H, W) bool, cells that shares and verdicts count: near cells on land without Antarctica; all
            near cells if none of them is on such land. It is empty if no cell is near; then all cells count.
        reach_km: distance in km within which a place counts as near.
        places: number of training places.
        area: the counted area, in words.
    """

    km: NDArray[np.float32]
    near: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    reach_km: float
    places: int
    area: str = NEAR_LAND


def places_of(info: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return (N, 2) lonlat degrees of a checkpoint's training places; empty for old checkpoints."""
    places = info.get("places") or {"lon": [], "lat": []}
    return np.stack([places["lon"], places["lat"]], axis=1).astype(np.float64)


def reach_of(places: NDArray[np.float64]) -> float:
    """Return the distance in km within which a place counts as near to a training place.

    It is twice the distance within which nine tenths of the training places have another one, from 50 to 500
    km. If the places span less than 200 km, the lower bound is a quarter of that extent, and at least 1 km.
    """
    single = np.unique(places, axis=0)
    if len(single) < 2:
        return NEAREST
    km = neighbour_km(single)
    low = min(max(PART * (extent_km(single) or 0.0), LEAST_KM), NEAREST)
    return float(np.clip(2 * np.quantile(km, 0.9), low, FURTHEST).round())


def find_support(grid: Grid, places: NDArray[np.float64], reach_km: float | None = None) -> Support | None:
    """Return which cells of a grid are near training places; None without training places.

    Args:
        grid: the cells.
        places: (N, 2) lonlat degrees of the training places.
        reach_km: distance in km that counts as near; None: :func:`reach_of` the places.
    """
    if not len(places):
        return None
    reach = reach_of(places) if reach_km is None else reach_km
    lonlat = grid.lonlat()
    km = NearestPlace(places).km(lonlat).reshape(grid.shape)
    across = np.cos(np.radians(grid.lat))[:, None]
    diagonal = np.hypot(across, 1.0) * grid.step * _DEGREE_KM  # a cell with a place in it is near
    near = km <= reach + diagonal / 2
    counted, area = near & _land(grid), NEAR_LAND
    if not counted.any():
        counted, area = near, NEAR_SEA if near.any() else FAR
    return Support(km.astype(np.float32), near, counted, reach, len(places), area)


def _land(grid: Grid) -> NDArray[np.bool_]:
    """(H, W) bool, cells on land without Antarctica; a fine grid of a part of the Earth uses fine coasts."""
    earth = earth_on(grid)
    away = earth.region != earth.regions.index("Antarctica")
    if not is_part(grid.bounds) or grid.step >= STEPS[0]:
        return earth.land & away
    land = ground_in(grid.bounds).land
    shapely.prepare(land)
    lon, lat = np.meshgrid(grid.lon, grid.lat)
    return shapely.contains_xy(land, lon, lat) & away


def box_of(places: NDArray[np.float64], reach_km: float) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north around training places with their reach; None: the whole Earth.

    Across the antimeridian east is beyond 180.
    """
    if not len(places):
        return None
    lon = np.sort(np.unique(places[:, 0] % 360))
    gap = int(np.diff(lon, append=lon[0] + 360).argmax())
    first = float(lon[(gap + 1) % len(lon)])
    span = float((lon[gap] - first) % 360)
    south, north = places[:, 1].min(), places[:, 1].max()
    high = max(abs(south), abs(north))
    margin = reach_km / _DEGREE_KM
    wide = margin / max(np.cos(np.radians(min(high + margin, 85.0))), 0.1)
    if span + 2 * wide > _WIDE or high > 84:
        return None
    west = (first - wide + 180) % 360 - 180
    return (
        float(west),
        float(max(south - margin, -85.0)),
        float(west + span + 2 * wide),
        float(min(north + margin, 85.0)),
    )


def step_of(box: tuple[float, float, float, float]) -> float:
    """Return the largest side of cells, in degrees, that gives a box enough cells; else the smallest side.

    Across the antimeridian east may be below west or beyond 180.
    """
    west, south, east, north = box
    longer = max((east - west) % 360 or 360, north - south)
    return next((step for step in STEPS if longer / step >= _CELLS), STEPS[-1])
