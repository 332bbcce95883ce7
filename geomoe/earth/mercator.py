"""Reproject rows of latitude to rows of Web Mercator, the projection of web maps.

Without reprojection, a picture with equal rows of latitude on a web map shows 30 degrees north at 53.
Columns are equal in both projections, so only rows move: each row of the picture takes the row of cells
that contains its middle. Nothing is interpolated: every pixel shows the router's value of one cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rasterio.warp import transform

from geomoe.errors import CoordinateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.coords import Grid

#: Latitude where the square Web Mercator world ends.
LIMIT = 85.0511287798066
_FINER = 2  # picture rows per cell at the equator, which halves the error of a drawn edge


class Frame(NamedTuple):
    """Which cell each pixel of a picture in Web Mercator shows.

    Attributes:
        rows: (height,) row of the grid for each row of the picture, north first.
        columns: (width,) column of the grid for each column of the picture.
        bounds: west, south, east, north of the picture in degrees; east is beyond 180 where the
            picture lies across the antimeridian, as web maps require.
        step: degrees of longitude in a pixel.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    bounds: tuple[float, float, float, float]
    step: float

    def take(self, image: NDArray) -> NDArray:
        """Reproject an (H, W) array of cells into an array of pixels."""
        return image[np.ix_(self.rows, self.columns)]


def frame(grid: Grid, coarser: int = 1) -> Frame:
    """Lay a picture in Web Mercator over a grid.

    Args:
        grid: the cells.
        coarser: cells on a side that share a pixel (1: none do).

    Raises:
        CoordinateError: the grid is entirely beyond the latitudes that Web Mercator shows.
    """
    west, south, east, north = grid.bounds
    top, bottom = min(north, LIMIT), max(south, -LIMIT)
    if top <= bottom:
        msg = f"bounds: a web map ends at {LIMIT:.2f} degrees of latitude; got {grid.bounds}"
        raise CoordinateError(msg)
    # rasterio wraps what lies beyond 180; only the width counts, so such a box is measured from -180 on
    off = west + 180 if east > 180 else 0
    (x_west, x_east), (y_top, y_bottom) = transform(
        "EPSG:4326", "EPSG:3857", [west - off, east - off], [top, bottom]
    )
    width = -(-len(grid.lon) // coarser)
    height = max(1, round((y_top - y_bottom) / (x_east - x_west) * width * _FINER))
    y = y_top - (np.arange(height) + 0.5) / height * (y_top - y_bottom)
    _, lat = transform("EPSG:3857", "EPSG:4326", np.zeros(height), y)
    rows = _cells((north - np.asarray(lat)) / grid.step, len(grid.lat))
    columns = _cells((np.arange(width) + 0.5) / width * len(grid.lon), len(grid.lon))
    return Frame(rows, columns, (west, bottom, east, top), (east - west) / width)


def _cells(position: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.clip(np.floor(position), 0, count - 1).astype(np.int64)
