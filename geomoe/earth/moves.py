"""Other places for samples: moved by km, and points spread evenly over the Earth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import EARTH_RADIUS_KM, wrap_lon

if TYPE_CHECKING:
    from numpy.typing import NDArray


def move_km(lonlat: NDArray[np.float64], km: float, bearing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places at a great-circle distance, on the sphere of :func:`geomoe.coords.great_circle_km`.

    Args:
        lonlat: (N, 2) degrees; NaN where unknown, and so is the result.
        km: distance.
        bearing: (N,) radians, clockwise from north.

    Returns:
        (N, 2) degrees, longitudes in [-180, 180).
    """
    lon, lat = np.radians(lonlat).T
    angle = km / EARTH_RADIUS_KM
    sine = np.sin(lat) * np.cos(angle) + np.cos(lat) * np.sin(angle) * np.cos(bearing)
    north = np.arcsin(np.clip(sine, -1, 1))
    east = np.arctan2(
        np.sin(bearing) * np.sin(angle) * np.cos(lat), np.cos(angle) - np.sin(lat) * np.sin(north)
    )
    return np.stack([wrap_lon(np.degrees(lon + east)), np.degrees(north)], axis=1)


def even_points(count: int) -> NDArray[np.float64]:
    """Points of a Fibonacci lattice: each represents the same area, so shares of points are shares of area.

    Args:
        count: N.

    Returns:
        (N, 2) degrees, from south to north.
    """
    number = np.arange(count) + 0.5
    golden = (1 + np.sqrt(5)) / 2
    lat = np.degrees(np.arcsin(2 * number / count - 1))
    return np.stack([wrap_lon(360 * (number / golden % 1)), lat], axis=1)
