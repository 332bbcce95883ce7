"""The extent of a set of places: the distance in km between its two furthest places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import HALF_TURN_KM, great_circle_km, mean_place, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEFT_OUT = 0.01  # share of the places, those furthest from the middle, that are ignored as possible errors
_HALF = 45.0  # degrees: places closer than this to their middle are less than a quarter turn apart
_COARSE = 2.0  # degrees on a side of the cells in which one place represents all, for data of the world
_ROWS = 1024  # places compared with all others at a time


def extent_km(lonlat: NDArray[np.float64]) -> float | None:
    """Great-circle km between the two places that lie furthest apart, on either side of the antimeridian.

    The hundredth of the places that is furthest from their mean is left out, so that one wrong place does
    not make data of a country look like data of a continent. Below a quarter turn the result is exact: lines
    of the gnomonic projection are great circles, so both places are corners of the convex hull there. Beyond
    it, one place stands for a cell of two degrees, and the result is at most 630 km too small.

    Args:
        lonlat: (N, 2) degrees; NaN where unknown.

    Returns:
        From 0 (one place) to 20,015 km; None: no place is known.
    """
    known = lonlat[~np.isnan(lonlat).any(axis=1)]
    if not len(known):
        return None
    middle = mean_place(known)
    if middle is None:  # they balance each other around the Earth
        return _widest(known)
    away = great_circle_km(known, np.broadcast_to(middle, known.shape))
    near = known[np.argsort(away, kind="stable")[: len(known) - int(LEFT_OUT * len(known))]]
    furthest = np.sort(away)[len(near) - 1]
    if furthest >= _HALF / 180 * HALF_TURN_KM:
        return _widest(near)
    return _between(_corners(near, middle))


def _corners(lonlat: NDArray[np.float64], middle: tuple[float, float]) -> NDArray[np.float64]:
    """The places on the convex hull, found in the gnomonic projection about ``middle``."""
    from shapely import MultiPoint, get_coordinates

    up = unit_vectors([middle])[0]
    lon, lat = np.radians(middle)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    places = unit_vectors(lonlat)
    flat = np.stack([places @ east, places @ north], axis=1) / (places @ up)[:, None]
    x, y = get_coordinates(MultiPoint(flat).convex_hull).T
    back = up + x[:, None] * east + y[:, None] * north
    return np.degrees(np.stack([np.arctan2(back[:, 1], back[:, 0]), _latitude(back)], axis=1))


def _latitude(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))


def _widest(lonlat: NDArray[np.float64]) -> float:
    """The km between the furthest places of a set that spreads around the Earth."""
    _, first = np.unique(np.floor(lonlat / _COARSE), axis=0, return_index=True)
    return _between(lonlat[first])


def _between(lonlat: NDArray[np.float64]) -> float:
    """The km between the furthest of some places, by a comparison of every pair."""
    from scipy.spatial.distance import cdist

    places = unit_vectors(lonlat)
    pairs = []
    for start in range(0, len(places), _ROWS):  # so that memory does not grow with the square of their number
        chords = cdist(places[start : start + _ROWS], places)
        row, other = np.unravel_index(chords.argmax(), chords.shape)
        pairs.append((start + row, other))
    first, second = np.transpose(pairs)
    return float(great_circle_km(lonlat[first], lonlat[second]).max())
