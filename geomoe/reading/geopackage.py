"""Check a GeoPackage before GDAL opens it: it must not run code, and exactly one layer must have the rows."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.errors import DataError
from geomoe.support.files import refuse_special

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"create\s+(?:table|index|unique\s+index|trigger|view)\s", re.IGNORECASE)
_INDEX = re.compile(
    r"create\s+virtual\s+table\s+(?:\"(?:[^\"]|\"\")*\"|\[[^\]]*\]|\w+)\s+using\s+rtree\s*\(", re.IGNORECASE
)
_VIEW = re.compile(r"create\s+view\s", re.IGNORECASE)
_TABLES = ("gpkg_", "rtree_")  # what GDAL reads by itself


def choose_layer(name: str) -> str:
    """Return the name of the layer of a GeoPackage that has its rows.

    It is the only layer with geometry; further tables without geometry, such as QGIS's ``layer_styles``,
    are ignored. If no layer has geometry, it is the only table.

    Raises:
        DataError: no GeoPackage; no layer, or several; a virtual table, a view instead of a table or a
            computed column, which run code when they are read; or changes that are not in the file yet.
    """
    for end in ("-wal", "-journal"):
        refuse_special(name + end, DataError)
        if os.path.isfile(name + end) and os.path.getsize(name + end):
            beside = os.path.basename(name + end)
            msg = f"{name}: its last changes are in {beside} beside it; close the program that has it open"
            raise DataError(msg)
    address = f"{Path(os.fsdecode(name)).as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as base:
        views = _refuse_code(base, name)
        if not _has_table(base, "gpkg_contents"):
            raise DataError(f"{name}: is a database and no GeoPackage")
        registered = base.execute("SELECT table_name, data_type FROM gpkg_contents").fetchall()
    run = [str(layer) for layer, _ in registered if str(layer).lower() in views]
    if run:
        raise DataError(
            f"{name}: layer {run[0]} is a view, which runs code when it is read; save it as a layer"
        )
    return _only(registered, name)


def _only(registered: Iterable[tuple[str, str]], name: str) -> str:
    kinds: dict[str, list[str]] = {"features": [], "attributes": []}
    for layer, kind in registered:
        kinds.get("attributes" if kind == "aspatial" else str(kind), []).append(str(layer))
    features, attributes = kinds["features"], kinds["attributes"]
    chosen = features or attributes
    if len(chosen) > 1:
        raise DataError(f"{name}: has several layers ({', '.join(chosen)}); keep one")
    if not chosen:
        raise DataError(f"{name}: has no layer of features and no table")
    if features and attributes:
        log.info("%s: layer %s is read; without geometry: %s", name, features[0], ", ".join(attributes))
    return chosen[0]


def _refuse_code(base: sqlite3.Connection, name: str) -> set[str]:
    """Refuse tables, views and columns that run code when they are read; return the other views' names.

    Triggers are allowed: they run only when a database is changed, and it is opened for reading.
    """
    made = base.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    views = {str(what).lower() for what, sql in made if _VIEW.match(str(sql))}
    indices = {str(what).lower() for what, sql in made if _INDEX.match(str(sql))}
    for what, sql in made:
        if str(what).lower() not in indices and not _PLAIN.match(str(sql)):
            raise DataError(f"{name}: it has virtual tables, which run code")
        if str(what).lower().startswith(_TABLES) and str(what).lower() in views:
            raise DataError(f"{name}: {what} is a view, which runs code when it is read")
        if str(what).lower() not in views | indices:
            columns = base.execute(
                "SELECT name FROM pragma_table_xinfo(?) WHERE hidden > 1", (what,)
            ).fetchone()
            if columns:
                msg = f"{name}: column {columns[0]} of {what} is computed, which runs code when it is read"
                raise DataError(msg)
    return views


def _has_table(base: sqlite3.Connection, table: str) -> bool:
    return bool(base.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())
