"""The region of the Earth that a place lies in, from the package's own raster of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import great_circle_km, make_grid
from geomoe.earth.land import SEA, earth_on
from geomoe.earth.nearest import NearestPlace

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania", "Other")
OTHER = len(REGIONS) - 1
STEP = 0.5  # degrees: the raster's own cells
FAR = 200.0  # km from land, above which a place belongs to no region


def regions_of(lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) position in REGIONS: the region of the nearest cell of land; Other: Antarctica, or far from land.

    Args:
        lonlat: (N, 2) degrees, all known.
    """
    grid = make_grid(STEP)
    earth = earth_on(grid)
    row, column = np.nonzero(earth.region != SEA)
    land = np.stack([grid.lon[column], grid.lat[row]], axis=1)
    nearest = NearestPlace(land).rows(lonlat)
    numbers = np.array([REGIONS.index(name) if name in REGIONS else OTHER for name in earth.regions])
    found = numbers[earth.region[row, column][nearest]]
    return np.where(great_circle_km(lonlat, land[nearest]) > FAR, OTHER, found).astype(np.int64)
