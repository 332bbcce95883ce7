"""Give the columns of a table the names that geomoe reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.errors import DataError
from geomoe.reading.sheets import ALIASES
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geomoe.reading.sheets import Sheet


def mapped(sheet: Sheet, columns: Mapping[str, str], path: Path) -> Sheet:
    """Return the sheet with each chosen column also under the name of its part.

    A column that already has that name, or for lon and lat a synonym of it, is left out.

    Raises:
        DataError: a column does not exist, exists several times, or is the geometry.
    """
    if not columns:
        return sheet
    for part, column in columns.items():
        if column not in sheet.names:
            msg = f"{path}: no column {column}, which is to be {part} (columns: {', '.join(sheet.names)})"
            raise DataError(msg + nearest(column, sheet.names))
        if column in sheet.repeated:
            raise DataError(f"{path}: has several columns {column}; keep one")
        if str(sheet.frame[column].dtype) == "geometry":
            raise DataError(f"{path}: column {column} is geometry and cannot be {part}; points are places")
    chosen = {part: sheet.frame[column] for part, column in columns.items()}
    hidden = {name for name in sheet.names if name in columns}
    for part in ALIASES.keys() & columns.keys():
        hidden |= {name for name in sheet.names if name.lower() in ALIASES[part]}
    frame = sheet.frame.drop(columns=[name for name in hidden if name in sheet.frame.columns])
    for part, values in chosen.items():
        frame[part] = values
    names = (*(name for name in sheet.names if name not in hidden), *chosen)
    return sheet._replace(frame=frame, names=names, repeated=sheet.repeated - hidden)
