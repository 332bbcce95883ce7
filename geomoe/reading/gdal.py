"""The errors of GDAL and PROJ that rasterio raises: its own classes, and GDAL's unchanged ones."""

from __future__ import annotations

from rasterio._err import CPLE_BaseError  # has no public name, and is no RasterioError
from rasterio.errors import RasterioError

#: For ``except``: all errors that a call of rasterio raises because of a file or a CRS.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)
