"""The region of the Earth that a place lies in, from the package's own raster of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import make_grid, unit_vectors
from geomoe.earth.land import SEA, earth_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania", "Other")
OTHER = len(REGIONS) - 1
STEP = 0.5  # degrees: the raster's own cells
FAR = 200.0  # km from land, above which a place belongs to no region
_EARTH = 6371.0088  # km, mean radius


def regions_of(lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) position in REGIONS: the region of the nearest cell of land; Other: Antarctica, or far from land.

    Args:
        lonlat: (N, 2) degrees, all known.
    """
    from scipy.spatial import cKDTree

    grid = make_grid(STEP)
    earth = earth_on(grid)
    row, column = np.nonzero(earth.region != SEA)
    tree = cKDTree(unit_vectors(np.stack([grid.lon[column], grid.lat[row]], axis=1)))
    chord, nearest = tree.query(unit_vectors(lonlat))
    numbers = np.array([REGIONS.index(name) if name in REGIONS else OTHER for name in earth.regions])
    found = numbers[earth.region[row, column][nearest]]
    km = 2 * _EARTH * np.arcsin(np.clip(chord / 2, 0, 1))
    return np.where(km > FAR, OTHER, found).astype(np.int64)
