"""Land, region and land cover in the cells of a grid, and coastlines.

Both files ship with the package. Regions and coastlines come from Natural Earth (public domain),
land cover from MODIS MCD12C1 (docs/maps.md says how they were made). They ship because geopandas has no such
data since 1.0, and cartopy and geodatasets fetch it from a server when it is first used.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.coords import Grid

ASSETS = files("geomoe.earth") / "assets"
SEA = 0  # number of the sea among the regions


class Earth(NamedTuple):
    """The Earth in the cells of a grid.

    Attributes:
        region: (H, W) position in ``regions``; 0 is the sea. (N,) for places.
        landcover: (H, W) position in ``covers``; 0 is water. (N,) for places.
        regions: names of the regions.
        covers: names of the land covers.
    """

    region: NDArray[np.uint8]
    landcover: NDArray[np.uint8]
    regions: tuple[str, ...]
    covers: tuple[str, ...]

    @property
    def land(self) -> NDArray[np.bool_]:
        """(H, W) cells whose centre is on land, Antarctica included."""
        return self.region != SEA


@cache
def _whole() -> Earth:
    with (ASSETS / "earth.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        return Earth(
            data["region"],
            data["landcover"],
            tuple(map(str, data["region_names"])),
            tuple(map(str, data["class_names"])),
        )


def earth_on(grid: Grid) -> Earth:
    """Region and land cover at the centre of every cell of a grid (from half-degree cells)."""
    whole = _whole()
    take = np.ix_(*_cells(np.concatenate([lon for _, lon in grid.sides()]), grid.lat))
    return whole._replace(region=whole.region[take], landcover=whole.landcover[take])


def earth_at(lonlat: NDArray[np.float64]) -> Earth:
    """Region and land cover at places (from half-degree cells).

    Args:
        lonlat: (N, 2) degrees, every place known.

    Returns:
        ``region`` and ``landcover`` are (N,).
    """
    whole = _whole()
    row, column = _cells(lonlat[:, 0], lonlat[:, 1])
    return whole._replace(region=whole.region[row, column], landcover=whole.landcover[row, column])


def _cells(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Row of each latitude and column of each longitude in the file."""
    height, width = _whole().region.shape
    row = np.clip(np.floor((90 - lat) / 180 * height), 0, height - 1).astype(int)
    return row, np.clip(np.floor((lon + 180) / 360 * width), 0, width - 1).astype(int)


@cache
def coastlines() -> dict[str, dict[str, Any]]:
    """GeoJSON MultiPolygon of the land of each region, by the region's name."""
    shapes = json.loads((ASSETS / "land.geojson").read_text(encoding="utf-8"))
    return {shape["properties"]["region"]: shape["geometry"] for shape in shapes["features"]}
