"""What GDAL and PROJ raise through rasterio: its own errors, and those of GDAL as they are."""

from __future__ import annotations

from rasterio._err import CPLE_BaseError  # has no public name, and is no RasterioError
from rasterio.errors import RasterioError

#: For ``except``: all that a call of rasterio raises because of a file or a CRS.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)
