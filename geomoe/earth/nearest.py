"""Find the exact nearest of many places on the sphere, without comparing every pair.

Places are points in 3D space, so the antimeridian and the poles need no special case: the shortest chord
belongs to the shortest great circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import great_circle_km, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAF = 32  # places in a leaf of the tree: larger leaves make a smaller tree that is hardly slower
_BLOCK = 1 << 16  # points that are looked up at once, which limits the memory


class NearestPlace:
    """Finds the nearest of a set of places; built once and queried often.

    Args:
        places: (M, 2) lonlat degrees; rows of NaN (unknown places) are ignored.
    """

    def __init__(self, places: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._places = places
        self._known = np.flatnonzero(~np.isnan(places).any(axis=1))
        self._tree = cKDTree(unit_vectors(places[self._known]), leafsize=_LEAF) if len(self._known) else None

    def __len__(self) -> int:
        """Return the number of known places."""
        return len(self._known)

    def rows(self, points: NDArray[np.float64], rank: int = 1) -> NDArray[np.int64]:
        """(N,) row of the place nearest to each of (N, 2) degrees; -1 where the point is unknown.

        Args:
            points: lonlat degrees.
            rank: 1: the nearest, 2: the second nearest, and so on; at most the number of known places.
        """
        nearest = np.full(len(points), -1, dtype=np.int64)
        asked = np.flatnonzero(~np.isnan(points).any(axis=1))
        if self._tree is None:
            return nearest
        for start in range(0, len(asked), _BLOCK):
            block = asked[start : start + _BLOCK]
            nearest[block] = self._known[self._tree.query(unit_vectors(points[block]), k=[rank])[1][:, 0]]
        return nearest

    def of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) degrees of the place nearest to each of (N, 2) degrees; NaN where the point is unknown."""
        rows = self.rows(points)
        found = np.full((len(points), 2), np.nan)
        found[rows >= 0] = self._places[rows[rows >= 0]]
        return found

    def km(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) great-circle km from each of (N, 2) degrees to its nearest place; NaN where not known."""
        return great_circle_km(points, self.of(points))


def neighbour_km(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) great-circle km from each place to the nearest other one.

    Args:
        places: (N, 2) lonlat degrees of two or more places, all known and all different.
    """
    return great_circle_km(places, places[NearestPlace(places).rows(places, rank=2)])


def nearest_km(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) great-circle distance in km from each of ``points`` to the nearest of ``others``.

    Args:
        points: (N, 2) lonlat degrees; NaN where a place is unknown, and so is its distance.
        others: (M, 2) lonlat degrees, likewise.
    """
    return NearestPlace(others).km(points)
