"""Read outlines from a few vector formats, detected by first bytes: other drivers may reach the network."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, one_line
from geomoe.reading.beside import CLOSED
from geomoe.support.bounded import parse_json
from geomoe.support.files import open_regular, refuse_special

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHAPEFILE, _SQLITE, _PARQUET = b"\0\0\x27\x0a", b"SQLite format 3\0", b"PAR1"
_BESIDE = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".idm", ".ind")
_KINDS = "GeoJSON, a shapefile (.shp, unpacked), GeoPackage or GeoParquet"


def read_shapes(path: str | os.PathLike[str], what: str = "outlines of countries") -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read a vector file; only this file, or the files of a shapefile, are opened.

    Raises:
        DataError: the file cannot be read, or has an unsupported format.
    """
    import geopandas

    name = os.path.abspath(path)
    try:
        with open_regular(name, DataError) as file:
            head = file.read(64)
        if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return _geojson(Path(name))
        if head.startswith(_PARQUET):
            return geopandas.read_parquet(name)
        if head.startswith(_SHAPEFILE):
            for end in _BESIDE:
                refuse_special(os.path.splitext(name)[0] + end, DataError)
        elif head.startswith(_SQLITE):
            _refuse_virtual(name)
        else:
            raise DataError(f"{path}: cannot be read as {what}: expected {_KINDS}")
        with _closed():
            return geopandas.read_file(name, engine="pyogrio")
    except DataError:
        raise
    except Exception as error:  # the readers raise many types of errors
        raise DataError(f"{path}: cannot be read as {what} ({one_line(error)})") from error


def read_points(path: Path) -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read a table of points through the same door; a GeoPackage has to have one layer.

    Raises:
        DataError: as :func:`read_shapes`, or several layers.
    """
    import pyogrio

    frame = read_shapes(path, "a table of points")
    if path.suffix.lower() == ".gpkg":
        with _closed():
            layers = pyogrio.list_layers(path)[:, 0].tolist()
        if len(layers) > 1:
            raise DataError(f"{path}: has several layers ({', '.join(map(str, layers))}); keep one")
    return frame


def _geojson(path: Path) -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read GeoJSON without OGR, which tries several drivers on a file that begins with a brace."""
    import geopandas

    with open_regular(path, DataError) as file:
        content = parse_json(file.read().decode("utf-8-sig"), 500_000_000)
    declared = content.get("crs") or {}
    crs = declared.get("properties", {}).get("name", "OGC:CRS84")
    if not str(crs).upper().startswith(("EPSG:", "URN:OGC:DEF:CRS:", "OGC:")):
        raise DataError(f"{path}: its CRS is no code ({str(crs)[:60]})")
    return geopandas.GeoDataFrame.from_features(content["features"], crs=crs)


def _refuse_virtual(name: str) -> None:
    """Refuse a database with virtual tables, which run code when read; R-tree indices are allowed."""
    address = f"{Path(name).as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as base:
        made = [
            str(row[0]).lower() for row in base.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
        ]
    virtual = [sql for sql in made if " virtual " in " ".join(sql.split())[:40]]
    if any("using rtree" not in " ".join(sql.split()) for sql in virtual):
        raise DataError(f"{name}: it has virtual tables, which run code")


@contextlib.contextmanager
def _closed() -> Iterator[None]:
    """Keep pyogrio's GDAL, a separate copy from rasterio's, off the network."""
    import pyogrio

    closed = {key: value for key, value in CLOSED.items() if "HTTP" in key or "CURL" in key}
    before = {key: pyogrio.get_gdal_config_option(key) for key in closed}
    pyogrio.set_gdal_config_options(closed)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)
