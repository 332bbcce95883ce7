"""Read user tables with every cell unchanged; numbers and places are validated row by row."""

from __future__ import annotations

import contextlib
import csv
import logging
import warnings
from typing import TYPE_CHECKING, NamedTuple

import geopandas
import numpy as np
import pandas as pd
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from geomoe.errors import DataError, one_line
from geomoe.reading.delimited import other_separator, separator_of, skip_declaration
from geomoe.reading.vectors import IN_THIS_THREAD, read_shapes
from geomoe.support.files import refuse_special
from geomoe.support.text import counted, is_utf8, why_not_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: Cell values that mean "missing", in lower case.
MISSING = frozenset(("", "na", "nan", "none", "null"))
_NOTHING = frozenset(("", "nan", "None", "<NA>"))  # the same for names, where NA may be a name
_SEPARATORS = {"|": "bars"}
TEXT, VECTORS = (".csv", ".tsv"), (".gpkg", ".shp", ".geojson")
SUFFIXES = (*TEXT, ".parquet", *VECTORS)


class Sheet(NamedTuple):
    """A table with unchanged cells.

    Attributes:
        frame: N rows of the requested columns; for a CSV each cell is its exact text.
        names: names of all columns.
        row: (N,) number of each row, counted from 1 after the header; empty lines do not count.
        broken: rows that are not in the frame: the number and the reason.
        repeated: names that several columns have; in the frame all but the first of them have a number.
    """

    frame: pd.DataFrame
    names: tuple[str, ...]
    row: NDArray[np.int64]
    broken: list[tuple[int, str]]
    repeated: frozenset[str] = frozenset()


def read_sheet(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Sheet:
    """Read a table that ends in one of SUFFIXES, with or without geometry.

    Args:
        path: the file.
        wanted: function of a column's name; whether the column of a CSV is kept. Others use no memory.

    Raises:
        DataError: the file is missing, empty, truncated, not in UTF-8 or otherwise unreadable.
    """
    refuse_special(path, DataError)
    kind = path.suffix.lower()
    if kind == ".parquet" and not is_utf8(path):
        raise DataError(f"{path}: {why_not_utf8(path)}")
    path = path.absolute() if ":" in str(path) else path  # so that it is not taken for a URL
    try:
        if kind in TEXT:
            return _read_csv(path, wanted)
        try:
            frame = read_shapes(path, "a table of points") if kind in VECTORS else _read_points(path)
        except DataError:
            raise
        except ValueError:  # parquet without geometry
            frame = pd.read_parquet(path, **IN_THIS_THREAD)
    except DataError:
        raise
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or str(error).splitlines()[0]}"
        raise DataError(msg) from error
    except ValueError as error:  # pandas' and pyarrow's own errors are ValueErrors too
        msg = f"{path}: not a {kind.removeprefix('.')} file with columns: {one_line(error)}"
        raise DataError(msg) from error
    except ShapelyError as error:
        raise DataError(f"{path}: its geometry cannot be read: {one_line(error)}") from error
    except CRSError as error:  # of a GeoParquet
        msg = f"{path}: the CRS of its points cannot be understood: {one_line(error)}"
        raise DataError(msg) from error
    frame = _with_index(frame, path)
    given = list(map(str, frame.columns))
    names = _unique(given, strip=False)
    if names != given:
        frame.columns = pd.Index(names, dtype=object)
    repeated = frozenset(name for name in given if given.count(name) > 1)
    return Sheet(frame, tuple(names), np.arange(1, len(frame) + 1), [], repeated)


def _read_points(path: Path) -> Any:  # noqa: ANN401 - a GeoDataFrame
    """Read GeoParquet; what geopandas warns of (spherical edges, for one) does not concern points."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return geopandas.read_parquet(path, **IN_THIS_THREAD)


def _with_index(frame: Any, path: Path) -> Any:  # noqa: ANN401 - with or without geometry
    """Return the frame with its index as the first columns: in the file it is a column like any other."""
    index = frame.index
    if isinstance(index, pd.RangeIndex) and index.name is None:
        return frame
    names = [str(name) if name is not None else "index" for name in index.names]
    both = [name for name in names if name in frame.columns or names.count(name) > 1]
    if both:
        raise DataError(f"{path}: {both[0]} is an index and a column; rename one of them")
    return frame.reset_index(names=names)


def read_frame(path: Path) -> pd.DataFrame:
    """Read every row and column of a .csv (cells as text) or a .parquet.

    Raises:
        DataError: an error of :func:`read_sheet`, or a broken row.
    """
    return read_whole(path).frame


def read_whole(path: Path) -> Sheet:
    """Read a table as :func:`read_sheet`; a single broken row is an error.

    Raises:
        DataError: an error of :func:`read_sheet`, or a broken row.
    """
    sheet = read_sheet(path)
    if sheet.broken:
        row, what = sheet.broken[0]
        raise DataError(f"{path}: row {row}: {what}")
    return sheet


def separator_hint(names: tuple[str, ...]) -> str:
    """Return advice for a header of one cell, which probably uses another separator than the comma."""
    found = [word for sign, word in _SEPARATORS.items() if len(names) == 1 and sign in names[0]]
    return f"; cells are separated by {found[0]}: save the table with commas" if found else ""


def _read_csv(path: Path, wanted: Callable[[str], bool]) -> Sheet:
    lines = _lines(path)
    header = next(lines, [])
    names = _unique(header)
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
        other = other_separator(cells, len(names))
        if other is not None:
            broken.append((number, f"its cells are separated by {other}, those of the header are not"))
            continue
        row.append(number)
        cells += [""] * (len(names) - have)  # spreadsheets omit empty cells at the end of a line
        for k, append in fill:
            append(cells[k])
    if number and not _ends(path):
        if have < len(names):
            row.pop()
            for column in kept.values():
                column.pop()
            broken.append(
                (number, f"the last line is cut off: it has {have} of {counted(len(names), 'cell')}")
            )
        else:
            log.warning("%s: its last line has no end; if it was copied, see that it is whole", path)
    frame = pd.DataFrame({names[k]: column for k, column in kept.items()}, dtype=object)
    given = [name.strip() for name in header]
    repeated = frozenset(name for name in given if name and given.count(name) > 1)
    return Sheet(frame, tuple(names), np.array(row, dtype=np.int64), broken, repeated)


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each line that is not empty, starting with the header.

    Uses Python's strict CSV reader: an unclosed quote would otherwise swallow all rows after it.
    """
    _refuse_zeros(path)
    sign = separator_of(path)
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        begin = 1  # first line of the current row
        try:
            above = skip_declaration(file)
            reader = csv.reader(file, strict=True, delimiter=sign)
            begin += above
            for cells in reader:
                begin = above + reader.line_num + 1
                if cells:
                    yield cells
        except csv.Error as error:
            msg = f"{path}: line {begin}: a quote is not where it should be ({error}); mend the line"
            raise DataError(msg) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: {_where_not_utf8(path)}; save it in UTF-8") from error


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the limit on the length of a cell: country outlines are long."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _refuse_zeros(path: Path) -> None:
    """Refuse a file with zero bytes: an interrupted copy may be padded to its full length with zeros."""
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path}: is in UTF-16 or UTF-32; save it in UTF-8 (Excel: CSV UTF-8)")
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
    """Return whether the last line of a file ends with a newline."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in (b"\n", b"\r")


def _unique(header: list[str], *, strip: bool = True) -> list[str]:
    """Return unique column names; unnamed and repeated columns get a number, as in pandas."""
    names: list[str] = []
    for k, given in enumerate(header):
        name = (given.strip() if strip else given) or f"Unnamed: {k}"
        again = sum(other == name or other.startswith(f"{name}.") for other in names)
        names.append(f"{name}.{again}" if name in names else name)
    return names


#: Names of columns of longitudes and latitudes, in lower case.
ALIASES = {"lon": ("lon", "longitude", "lng"), "lat": ("lat", "latitude")}


def named(sheet: Sheet, what: str, path: Path) -> str | None:
    """Return the column of a sheet with the name ``lon`` or ``lat``, or a synonym, in any case; or None.

    Raises:
        DataError: several columns have such a name.
    """
    found = [name for name in sheet.names if name.lower() in ALIASES[what]]
    found += [name for name in found if name in sheet.repeated]
    if len(found) > 1:
        raise DataError(f"{path}: columns {' and '.join(found)} both name the {what}; keep one")
    return found[0] if found else None


def text_of(column: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return (N,) the stripped text of each cell and (N,) empty flags; whole floats lose their ``.0``."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # integers that an empty cell turned into floats
    text = _stripped(column)
    # np.isin would pad every cell to the width of the longest.
    said = np.fromiter((value in _NOTHING for value in text), dtype=bool, count=len(text))
    missing = column.isna().to_numpy(dtype=bool) | said
    text[missing] = ""
    return text, missing


def _stripped(column: pd.Series) -> NDArray[Any]:
    text = np.empty(len(column), dtype=object)
    text[:] = [str(value).strip() for value in column]
    return text


def numbers_of(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (N,) numbers, NaN where empty, and (N,) flags of cells that are not numbers."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    text = _stripped(column)
    said = np.fromiter((value.lower() in MISSING for value in text), dtype=bool, count=len(text))
    missing = column.isna().to_numpy(dtype=bool) | said
    text[missing] = "nan"
    numbers = np.asarray(pd.to_numeric(pd.Series(text, dtype=object), errors="coerce"), dtype=np.float64)
    return numbers, np.isnan(numbers) & ~missing
