"""Detect how a text table separates its cells, and whether its numbers have decimal commas."""

from __future__ import annotations

import csv
import logging
import re
from typing import TYPE_CHECKING, Any, TextIO

from geomoe.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_LINES = 50  # lines that are examined if the header has several of the signs
_DECLARED = re.compile(r'"?sep=[,;\t]"?\s*', re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+")


def separator_of(path: Path) -> str:
    """Return the sign between the cells of a ``.csv`` or ``.tsv``; a sign other than the comma is logged.

    Raises:
        DataError: the header has several signs, and not exactly one of them gives lines of equal length.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        skip_declaration(file)
        lines = [line for line in (file.readline(65_536) for _ in range(_LINES)) if line.strip()]
    if path.suffix.lower() == ".tsv":
        _refuse_other(lines, path)
        return "\t"
    if not lines:
        return ","
    bare = re.sub(r'"[^"]*"', "", lines[0])
    found = [sign for sign in _NAMES if sign in bare]
    if len(found) > 1:
        found = [sign for sign in found if len({len(row) for row in csv.reader(lines, delimiter=sign)}) == 1]
        if len(found) != 1:
            signs = " and ".join(_NAMES[sign] for sign in _NAMES if sign in bare)
            raise DataError(f"{path}: its first line has {signs}; separate all cells by one of them")
    sign = found[0] if found else ","
    if sign != ",":
        log.info("%s: its cells are separated by %s", path, _NAMES[sign])
    return sign


def _refuse_other(lines: list[str], path: Path) -> None:
    found = [word for sign, word in _NAMES.items() if lines and "\t" not in lines[0] and sign in lines[0]]
    if found:
        msg = f"{path}: its first line has {' and '.join(found)}, and cells of a .tsv are separated by tabs"
        raise DataError(f"{msg}; name it .csv")


def skip_declaration(file: TextIO) -> int:
    """Skip a first line such as ``sep=;``, which Excel writes; return the number of skipped lines, 0 or 1."""
    if _DECLARED.fullmatch(file.readline(10)):
        return 1
    file.seek(0)
    return 0


def other_separator(cells: list[str], count: int) -> str | None:
    """Return the name of another sign that divides a line of one cell into ``count`` cells, or None."""
    if len(cells) != 1 or count < 2:
        return None
    return next((word for sign, word in _NAMES.items() if cells[0].count(sign) == count - 1), None)


def with_points(column: Any, path: Path) -> Any:  # noqa: ANN401 - a pandas column
    """Return a column of degrees with decimal points in place of decimal commas; a replacement is logged.

    Degrees have no thousands, so 12,345 can only be 12.345. If fewer than half of the cells have a comma,
    the column is not changed, and these cells are faults of their rows.

    Raises:
        DataError: most numbers have commas, and others points.
    """
    text = [value.strip() if isinstance(value, str) else "" for value in column]
    commas = [bool(_COMMA.fullmatch(value)) for value in text]
    if 2 * sum(commas) < sum(map(bool, text)) or not any(commas):
        return column
    if any("." in value for value in text):
        msg = f"{path}: column {column.name} has numbers with decimal commas and with points"
        raise DataError(f"{msg} ({text[commas.index(True)]}); write all of them one way")
    log.info("%s: numbers of column %s have decimal commas", path, column.name)
    values = zip(column, commas, strict=True)
    return column.__class__(
        [value.replace(",", ".") if comma else value for value, comma in values],
        index=column.index, name=column.name, dtype=object,
    )  # fmt: skip
