"""Read outlines and points from a few vector formats, which are detected by their first bytes."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, one_line
from geomoe.reading.beside import CLOSED, grid_of
from geomoe.reading.geopackage import choose_layer
from geomoe.reading.shapefile import look_at_shapefile, refuse_no_columns
from geomoe.support.bounded import MOST_BYTES, parse_json
from geomoe.support.files import open_regular, read_text
from geomoe.support.text import is_utf8, why_not_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_SHAPEFILE, _SQLITE, _PARQUET = b"\0\0\x27\x0a", b"SQLite format 3\0", b"PAR1"
_KINDS = "GeoJSON (UTF-8), a shapefile (.shp, unpacked), GeoPackage or GeoParquet"
_CODE = re.compile(r"(?:EPSG:|OGC:|urn:ogc:def:crs:)[A-Za-z0-9.:_-]+", re.IGNORECASE)
#: Options for reading Parquet in one thread: with several, Arrow waits forever if one cannot be started.
IN_THIS_THREAD: dict[str, Any] = {"use_threads": False, "pre_buffer": False}
_LAYER = {"IMMUTABLE": "YES", "LIST_ALL_TABLES": "NO"}  # neither journals nor tables that are not registered


def read_shapes(path: str | os.PathLike[str], what: str = "outlines of countries") -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read a vector file; only this file, or the files of a shapefile, are opened.

    Args:
        path: the file.
        what: description of what is read, for the error.

    Returns:
        A GeoDataFrame, or a DataFrame if a GeoPackage has no layer with geometry.

    Raises:
        DataError: the file cannot be read, has an unsupported format or several layers, or would run code or
            lead to other files.
    """
    name = os.path.abspath(path)
    try:
        frame = _read(name)
        crs = getattr(frame, "crs", None)
        grid = grid_of(crs.to_wkt()) if crs is not None else None
        if grid is not None:
            raise DataError(f"{path}: its CRS names a file ({grid[:80]})")
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(f"{path}: ") else text.replace(name, str(path), 1)) from error
    except Exception as error:  # the readers raise many types of errors
        raise DataError(f"{path}: cannot be read as {what} ({one_line(error)})") from error
    if frame is None:
        raise DataError(f"{path}: cannot be read as {what}: expected {_KINDS}")
    return frame


def _read(name: str) -> Any:  # noqa: ANN401 - a DataFrame, with or without geometry; None: of no kind
    import geopandas

    with open_regular(name, DataError) as file:
        head = file.read(64)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _geojson(Path(name))
    if not is_utf8(name):
        raise DataError(f"{name}: {why_not_utf8(name)}")
    if head.startswith(_PARQUET):
        return geopandas.read_parquet(name, **IN_THIS_THREAD)
    if head.startswith(_SHAPEFILE):
        look_at_shapefile(name)
        with _closed(name):
            frame = geopandas.read_file(name, engine="pyogrio")
        refuse_no_columns(frame, name)
        return frame
    if head.startswith(_SQLITE):
        layer = choose_layer(name)
        with _closed(name):
            return geopandas.read_file(name, engine="pyogrio", layer=layer, **_LAYER)
    return None


def _geojson(path: Path) -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read GeoJSON without OGR, which tries several drivers on a file that begins with a brace."""
    import geopandas
    import pandas as pd

    content = parse_json(read_text(path, DataError, MOST_BYTES), 100_000_000)
    features = content.get("features")
    if features == []:
        raise DataError(f"{path}: has no features; export it again, all of them")
    if not isinstance(features, list):
        one = f", but one {one_line(ValueError(str(content['type'])), 40)}" if content.get("type") else ""
        raise DataError(f"{path}: is not GeoJSON with a list of features{one}; save a FeatureCollection")
    geometry, rows = [], []
    for number, feature in enumerate(features, start=1):
        try:
            geometry.append(_shape(feature["geometry"]))
            rows.append(dict(feature["properties"] or {}))
        except Exception as error:  # shapely and numpy raise many types for odd coordinates
            raise DataError(f"{path}: feature {number} is not readable ({one_line(error)})") from error
    frame = pd.DataFrame(rows, index=range(len(rows))).drop(columns="geometry", errors="ignore")
    return geopandas.GeoDataFrame(frame, geometry=geometry, crs=_crs_of(content.get("crs"), path))


def _shape(given: Any) -> Any:  # noqa: ANN401 - plain values to a geometry
    from shapely.geometry import shape

    if not given:
        return None
    if given.get("type") == "Point" and any(type(one) not in (int, float) for one in given["coordinates"]):
        raise ValueError(f"its coordinates are no numbers: {given['coordinates']}")
    return shape(given)


def _crs_of(declared: Any, path: Path) -> str:  # noqa: ANN401 - plain values
    """Return the CRS that GeoJSON declares by its code; that of degrees if it declares none."""
    if declared is None:
        return "OGC:CRS84"
    properties = declared.get("properties") if isinstance(declared, dict) else {"name": declared}
    named = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(named, str) and _CODE.fullmatch(named):
        return named
    shown = named or properties
    raise DataError(f"{path}: its CRS is no code such as EPSG:4326 ({one_line(ValueError(str(shown)), 60)})")


@contextlib.contextmanager
def _closed(name: str) -> Iterator[None]:
    """Keep pyogrio's GDAL, a separate copy from rasterio's, off the network; log its warnings."""
    import pyogrio

    closed = {key: value for key, value in CLOSED.items() if "HTTP" in key or "CURL" in key}
    closed["OGR_SQLITE_PRAGMA"] = "trusted_schema=0"  # what a schema computes uses harmless functions only
    before = {key: pyogrio.get_gdal_config_option(key) for key in closed}
    pyogrio.set_gdal_config_options(closed)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        pyogrio.set_gdal_config_options(before)
    for text in dict.fromkeys(one_line(warning.message) for warning in caught):  # type: ignore[arg-type]
        log.warning("%s: %s", name, text)
