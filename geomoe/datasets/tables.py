"""Tables of people's own rows: read with every cell as it stands, numbers and places judged row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd

from geomoe.errors import DataError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: Cells that say "nothing here", in lower case.
MISSING = ("", "na", "nan", "none", "null")


def read_frame(path: Path, broken: list[tuple[int, str]] | None = None) -> pd.DataFrame:
    """A .csv (every cell as text, digit for digit) or a .parquet, with or without geometry.

    Args:
        path: the file.
        broken: where CSV lines with too many cells are listed as (0, what); they are then left out.
            None: one such line is an error.

    Raises:
        DataError: missing, empty or unreadable file.
    """
    try:
        if path.suffix == ".csv":
            return _read_csv(path, broken)
        try:
            return geopandas.read_parquet(path)
        except ValueError:  # parquet without geometry
            return pd.read_parquet(path)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or str(error).splitlines()[0]}"
        raise DataError(msg) from error
    except ValueError as error:  # pandas' and pyarrow's own errors are ValueErrors too
        what = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        msg = f"{path}: not a {path.suffix.removeprefix('.')} file with columns: {what}"
        raise DataError(msg) from error


def _read_csv(path: Path, broken: list[tuple[int, str]] | None) -> pd.DataFrame:
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        frame = pd.read_csv(path, **options)
        if isinstance(frame.index, pd.RangeIndex):
            return frame
        # pandas takes the first column for an index when the first row is longer than the header
        msg = f"the first row has more cells than the header, which is {','.join(map(str, frame.columns))}"
        raise ValueError(msg)
    except pd.errors.ParserError:
        if broken is None:
            raise

    def leave_out(cells: list[str]) -> None:
        broken.append((0, f"a line has too many cells: {one_line(ValueError(','.join(cells)), 80)}"))

    # The Python engine is slower by far, and the only one that hands over the lines that it leaves out.
    return pd.read_csv(path, engine="python", on_bad_lines=leave_out, **options)


def text_of(column: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """(N,) stripped text of each cell and whether the cell is empty; whole floats lose their ``.0``."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers that became floats because of one empty cell
    missing = column.isna().to_numpy(dtype=bool)
    text = column.astype(object).map(lambda value: str(value).strip()).to_numpy(dtype=object)
    missing = missing | np.isin(text.astype(str), ["", "nan", "None", "<NA>"])
    text[missing] = ""
    return text, missing


def numbers_of(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) numbers, NaN where the cell is empty, and which cells hold something that is no number."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    text = column.astype(object).map(lambda value: str(value).strip())
    missing = column.isna() | text.str.lower().isin(MISSING)
    numbers = pd.to_numeric(text.where(~missing), errors="coerce").to_numpy(np.float64)
    return numbers, np.isnan(numbers) & ~missing.to_numpy(dtype=bool)


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
