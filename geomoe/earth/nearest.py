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
_BLOCK = 1 << 16  # points that are looked up in one go, so that they need little memory


class NearestPlace:
    """Finds the nearest of a set of places; built once and queried often.

    Args:
        places: (M, 2) lonlat degrees; rows of NaN (unknown places) are ignored.
    """

    def __init__(self, places: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._places = places[~np.isnan(places).any(axis=1)]
        self._tree = cKDTree(unit_vectors(self._places), leafsize=_LEAF) if len(self._places) else None

    def __len__(self) -> int:
        """Return the number of known places."""
        return len(self._places)

    def of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) degrees of the place nearest to each of (N, 2) degrees; NaN where the point is unknown."""
        nearest = np.full((len(points), 2), np.nan)
        known = ~np.isnan(points).any(axis=1)
        rows = np.flatnonzero(known) if self._tree is not None else np.array([], dtype=np.int64)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            found = self._tree.query(unit_vectors(points[block]))[1]  # type: ignore[union-attr]
            nearest[block] = self._places[found]
        return nearest

    def km(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) great-circle km from each of (N, 2) degrees to its nearest place; NaN where not known."""
        return great_circle_km(points, self.of(points))


def nearest_km(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) great-circle distance in km from each of ``points`` to the nearest of ``others``.

    Args:
        points: (N, 2) lonlat degrees; NaN where a place is unknown, and so is its distance.
        others: (M, 2) the same.
    """
    return NearestPlace(others).km(points)
