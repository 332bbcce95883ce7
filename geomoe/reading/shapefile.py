"""Check the files of a shapefile before GDAL opens them: all must exist, be complete, and belong together."""

from __future__ import annotations

import os
import struct
from typing import Any

from geomoe.errors import DataError
from geomoe.support.files import open_regular, refuse_special
from geomoe.support.text import counted

_NEEDED = {".shx": "where each shape is", ".dbf": "the columns"}
_BESIDE = (*_NEEDED, ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".idm", ".ind")
_HEAD = 100  # bytes of the header of .shp and .shx


def look_at_shapefile(name: str) -> None:
    """Refuse a shapefile with files that are missing, truncated, or of another shapefile.

    GDAL would silently read a part of it: unknown places for missing shapes, no columns for a damaged
    ``.dbf``.

    Raises:
        DataError: one of its files is missing, damaged, or not a regular file.
    """
    stem = os.path.splitext(name)[0]
    for end in _BESIDE:
        for path in (stem + end, stem + end.upper()):
            refuse_special(path, DataError)
    beside = {end: _beside(stem, end) for end in _NEEDED}
    for end, what in _NEEDED.items():
        if beside[end] is None:
            raise DataError(f"{name}: beside it {os.path.basename(stem)}{end} is missing, which has {what}")
    _refuse_cut(name, os.path.getsize(name), _start(name))
    index, table = str(beside[".shx"]), str(beside[".dbf"])
    _refuse_cut(index, os.path.getsize(index), _start(index))
    shapes, rows = (os.path.getsize(index) - _HEAD) // 8, _rows(table)
    if shapes != rows:
        beside_it = f"{os.path.basename(table)} beside it {counted(rows, 'row')}"
        msg = f"{name}: has {counted(shapes, 'shape')}, and {beside_it}"
        raise DataError(f"{msg}; copy all of its files again")


def refuse_no_columns(frame: Any, name: str) -> None:  # noqa: ANN401 - a GeoDataFrame
    """Refuse a shapefile that has shapes and no columns, because its ``.dbf`` could not be read.

    Raises:
        DataError: there are no columns.
    """
    if list(frame.columns) == [frame.geometry.name]:
        raise DataError(f"{name}: its .dbf has no columns that can be read")


def _beside(stem: str, end: str) -> str | None:
    return next((path for path in (stem + end, stem + end.upper()) if os.path.isfile(path)), None)


def _start(path: str) -> bytes:
    with open_regular(path, DataError) as file:
        return file.read(_HEAD)


def _refuse_cut(path: str, size: int, head: bytes) -> None:
    said = 2 * struct.unpack(">I", head[24:28])[0] if len(head) == _HEAD else _HEAD
    if size < said or head[:4] != b"\0\0\x27\x0a":
        raise DataError(f"{path}: is cut off or damaged ({size:,} of {said:,} bytes); copy it again")


def _rows(path: str) -> int:
    """Return the number of rows of a dBase table, those that are marked as deleted as well."""
    head = _start(path)
    if len(head) < 32:
        raise DataError(f"{path}: is cut off or damaged ({counted(len(head), 'byte')}); copy it again")
    rows, start, width = struct.unpack("<IHH", head[4:12])
    said, size = start + rows * width, os.path.getsize(path)
    if size < said:
        raise DataError(f"{path}: is cut off or damaged ({size:,} of {said:,} bytes); copy it again")
    return int(rows)
