"""Tables of people's own rows: read with every cell as it stands, numbers and places judged row by row."""

from __future__ import annotations

import contextlib
import csv
import logging
from typing import TYPE_CHECKING, NamedTuple

import geopandas
import numpy as np
import pandas as pd

from geomoe.errors import DataError, one_line
from geomoe.support.files import refuse_special

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: Cells that say "nothing here", in lower case.
MISSING = frozenset(("", "na", "nan", "none", "null"))
_NOTHING = frozenset(("", "nan", "None", "<NA>"))  # the same for names, of which NA may be one
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Sheet(NamedTuple):
    """A table as it stands.

    Attributes:
        frame: N rows of the columns that were asked for; of a CSV every cell as text, digit for digit.
        names: of all columns.
        row: (N,) number of each row, counted from 1 after the header; an empty line is none.
        broken: rows that are left out of the frame: the number, and what is wrong.
    """

    frame: pd.DataFrame
    names: tuple[str, ...]
    row: NDArray[np.int64]
    broken: list[tuple[int, str]]


def read_sheet(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Sheet:
    """A .csv or a .parquet, with or without geometry.

    Args:
        path: the file.
        wanted: which columns of a CSV are kept, by name; the others cost no memory.

    Raises:
        DataError: missing, empty, half-copied, not in UTF-8 or otherwise unreadable.
    """
    refuse_special(path, DataError)
    kind = path.suffix.lower()
    path = path.absolute() if ":" in str(path) else path  # no name of a server, whatever folders are called
    try:
        if kind == ".csv":
            return _read_csv(path, wanted)
        try:
            frame = geopandas.read_parquet(path)
        except ValueError:  # parquet without geometry
            frame = pd.read_parquet(path)
    except DataError:
        raise
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or str(error).splitlines()[0]}"
        raise DataError(msg) from error
    except ValueError as error:  # pandas' and pyarrow's own errors are ValueErrors too
        msg = f"{path}: not a {kind.removeprefix('.')} file with columns: {one_line(error)}"
        raise DataError(msg) from error
    return Sheet(frame, tuple(map(str, frame.columns)), np.arange(1, len(frame) + 1), [])


def read_frame(path: Path) -> pd.DataFrame:
    """Every row and column of a .csv (cells as text) or a .parquet.

    Raises:
        DataError: as :func:`read_sheet`; also for a single row that is broken.
    """
    sheet = read_sheet(path)
    if sheet.broken:
        row, what = sheet.broken[0]
        raise DataError(f"{path}: row {row}: {what}")
    return sheet.frame


def separator_hint(names: tuple[str, ...]) -> str:
    """What to do about a header that is one cell, because its cells are not separated by commas."""
    found = [word for sign, word in _SEPARATORS.items() if len(names) == 1 and sign in names[0]]
    return f"; cells are separated by {found[0]}: save the table with commas" if found else ""


def _read_csv(path: Path, wanted: Callable[[str], bool]) -> Sheet:
    lines = _lines(path)
    names = _unique(next(lines, []))
    if not names:
        raise DataError(f"{path}: not a csv file with columns: it is empty")
    kept = {k: list[str]() for k, name in enumerate(names) if wanted(name)}
    fill = [(k, column.append) for k, column in kept.items()]
    row: list[int] = []
    broken: list[tuple[int, str]] = []
    number = have = 0
    for number, cells in enumerate(lines, start=1):
        have = len(cells)
        if have > len(names):
            broken.append((number, f"a line has too many cells: {one_line(ValueError(','.join(cells)), 80)}"))
            continue
        row.append(number)
        cells += [""] * (len(names) - have)  # spreadsheets leave out what is empty at the end of a line
        for k, append in fill:
            append(cells[k])
    if number and not _ends(path):
        if have < len(names):
            row.pop()
            for column in kept.values():
                column.pop()
            broken.append((number, f"the last line is cut off: it has {have} of {len(names)} cells"))
        else:
            log.warning("%s: its last line has no end; if it was copied, see that it is whole", path)
    frame = pd.DataFrame({names[k]: column for k, column in kept.items()}, dtype=object)
    return Sheet(frame, tuple(names), np.array(row, dtype=np.int64), broken)


def _lines(path: Path) -> Iterator[list[str]]:
    """The cells of each line that is not empty, the header's first.

    Python's own reader is strict: a quote that is never closed would swallow every row behind it.
    """
    _refuse_zeros(path)
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        reader = csv.reader(file, strict=True)
        begin = 1  # line on which the row under way begins
        try:
            for cells in reader:
                begin = reader.line_num + 1
                if cells:
                    yield cells
        except csv.Error as error:
            msg = f"{path}: line {begin}: a quote is not where it should be ({error}); mend the line"
            raise DataError(msg) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: {_where_not_utf8(path)}; save it as CSV in UTF-8") from error


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as they are; outlines of countries are long."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _refuse_zeros(path: Path) -> None:
    """A copy that stopped may have its full length, with zeros for what did not come."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if b"\0" in block:
                msg = f"{path}: has zero bytes in it: a copy that stopped, or not in UTF-8; copy it again"
                raise DataError(msg)


def _where_not_utf8(path: Path) -> str:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"line {line} is not in UTF-8 (byte 0x{content[error.start]:02x})"
    return "not in UTF-8"


def _ends(path: Path) -> bool:
    """Whether the last line of a file has an end."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in (b"\n", b"\r")


def _unique(header: list[str]) -> list[str]:
    """Names of columns; one without a name, or with that of another one, gets a number, as in pandas."""
    names: list[str] = []
    for k, given in enumerate(header):
        name = given.strip() or f"Unnamed: {k}"
        again = sum(other == name or other.startswith(f"{name}.") for other in names)
        names.append(f"{name}.{again}" if name in names else name)
    return names


def text_of(column: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """(N,) stripped text of each cell and whether the cell is empty; whole floats lose their ``.0``."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers that became floats because of one empty cell
    text = _stripped(column)
    # not np.isin, which would give every cell the width of the longest
    said = np.fromiter((value in _NOTHING for value in text), dtype=bool, count=len(text))
    missing = column.isna().to_numpy(dtype=bool) | said
    text[missing] = ""
    return text, missing


def _stripped(column: pd.Series) -> NDArray[Any]:
    text = np.empty(len(column), dtype=object)
    text[:] = [str(value).strip() for value in column]
    return text


def numbers_of(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) numbers, NaN where the cell is empty, and which cells hold something that is no number."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    text = _stripped(column)
    said = np.fromiter((value.lower() in MISSING for value in text), dtype=bool, count=len(text))
    missing = column.isna().to_numpy(dtype=bool) | said
    text[missing] = "nan"
    numbers = np.asarray(pd.to_numeric(pd.Series(text, dtype=object), errors="coerce"), dtype=np.float64)
    return numbers, np.isnan(numbers) & ~missing


def lonlat_of_geometry(frame: geopandas.GeoDataFrame, path: Path) -> NDArray[np.float64]:
    """(N, 2) degrees of the points of a table, from any CRS; NaN, NaN where there is none.

    Raises:
        DataError: a geometry that is no point.
    """
    geometry = frame.geometry
    known = ~(geometry.isna() | geometry.is_empty)
    other = known & (geometry.geom_type != "Point")
    if other.any():
        row = int(np.flatnonzero(other)[0])
        msg = f"{path}: expected points; row {row} is a {geometry.iloc[row].geom_type}"
        raise DataError(msg)
    if geometry.crs is not None and not geometry.crs.equals("EPSG:4326", ignore_axis_order=True):
        geometry = geometry.to_crs("EPSG:4326")
    lonlat = np.full((len(frame), 2), np.nan)
    lonlat[known.to_numpy(), 0] = geometry[known].x
    lonlat[known.to_numpy(), 1] = geometry[known].y
    return lonlat
