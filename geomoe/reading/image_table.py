"""Read a user's image table (filename, label, place, domain, split); each row is validated separately."""

from __future__ import annotations

import logging
import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd

from geomoe.coords import wrap_lon
from geomoe.errors import DataError, one_line
from geomoe.reading.columns import mapped
from geomoe.reading.delimited import with_points
from geomoe.reading.labels import MULTI_LABEL, check_cells, check_labels
from geomoe.reading.points import lonlat_of_geometry
from geomoe.reading.sheets import (
    ALIASES,
    SUFFIXES,
    named,
    numbers_of,
    read_sheet,
    separator_hint,
    text_of,
)
from geomoe.reading.skips import Skip, refuse_many
from geomoe.support.columns import PARTS, proposed, written
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.reading.sheets import Sheet

log = logging.getLogger(__name__)

COUNTRY = ("country_code", "iso_a3", "iso_a2", "country")  # columns that may hold country codes, best first
GROUPS = ("group", "scene")  # columns whose equal values stay in one split
_OWN = frozenset(("filename", "label", "domain", "split", "timestamp", *COUNTRY, *GROUPS))
_PLACES = frozenset(alias for names in ALIASES.values() for alias in names)


class Table(NamedTuple):
    """The usable rows, in table order; arrays of length N.

    Attributes:
        filename: (N,) text as given, with ``/`` between folders even if the table comes from Windows.
        lonlat: (N, 2) float64 degrees, NaN where empty; None: the table has no such columns.
        label, domain, split: (N,) text, empty where the cell is empty; None: no such column.
        country: (N,) text, likewise, from the first column of COUNTRY that exists.
        group, scene: (N,) text, likewise; images of one value stay in one split.
        timestamp: (N,) seconds since 1970 (UTC), NaN where empty; None: no such column.
        row: (N,) row numbers, counted from 1 after the header.
        skipped: skipped rows, with reasons.
        total: number of rows in the file.
    """

    filename: NDArray[Any]
    lonlat: NDArray[np.float64] | None
    label: NDArray[Any] | None
    domain: NDArray[Any] | None
    split: NDArray[Any] | None
    country: NDArray[Any] | None
    group: NDArray[Any] | None
    scene: NDArray[Any] | None
    timestamp: NDArray[np.float64] | None
    row: NDArray[np.int64]
    skipped: list[Skip]
    total: int

    def keep(self, chosen: NDArray[np.bool_], skipped: Iterable[Skip] = ()) -> Table:
        """Return a table of the ``chosen`` rows only; append ``skipped`` to the skipped rows."""
        kept = {
            name: None if column is None else column[chosen]
            for name, column in self._asdict().items()
            if name not in ("skipped", "total")
        }
        return Table(**kept, skipped=[*self.skipped, *skipped], total=self.total)  # type: ignore[arg-type]


def read_table(
    path: Path,
    *,
    labels: bool = True,
    domain_by: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Table:
    """Read a table of images.

    Args:
        path: a table (SUFFIXES), with or without geometry (points in any CRS also give places).
        labels: whether a column ``label`` with at least two classes is required.
        domain_by: column that names the domain; default: ``domain``.
        columns: part -> name of its column, where it has another name; see :mod:`geomoe.support.columns`.

    Raises:
        DataError: a missing file or column, a wrong type, an image listed twice with different labels or
            splits, or too many unusable rows.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: expected a table that ends in {', '.join(SUFFIXES)}")
    columns = columns or {}
    wanted = {*_OWN, domain_by, *columns.values()}
    sheet = read_sheet(path, lambda name: name in wanted or name.lower() in _PLACES)
    reader = _Reader(mapped(sheet, columns, path), path)
    for part in reader.required[: 1 + labels]:
        reader.need(part)
    if labels:
        check_cells(reader.frame["label"], path)
    if domain_by is not None:
        reader.need(domain_by)
    filename, empty = text_of(reader.frame["filename"])
    filename = _slashes(filename)
    reader.fault(empty, "the cell filename is empty")
    reader.fault(_leads_away(filename), "the filename leads out of the folder of images, or to a server")
    lonlat = reader.places()
    if lonlat is None:
        reader.tell_places()
    table = Table(
        filename,
        lonlat,
        reader.text("label", required=labels),
        reader.text(domain_by or "domain"),
        reader.text("split", required=True),
        next((reader.text(name) for name in COUNTRY if name in reader.names), None),
        reader.text("group"),
        reader.text("scene"),
        reader.times(),
        sheet.row,
        [Skip(row, "", reason) for row, reason in sheet.broken],
        len(sheet.row) + len(sheet.broken),
    )
    if not table.total:
        raise DataError(f"{path}: has no rows under its header")
    same = pd.Series(_normal(filename))
    _refuse_contradictions(table, same, path)
    reader.fault(same.duplicated().to_numpy(dtype=bool) & ~empty, "the image is listed twice")
    table = reader.without_faults(table)
    refuse_many(table.skipped, table.total, path)
    if labels:
        check_labels(table.label, path)  # type: ignore[arg-type]
    return table


def _slashes(filename: NDArray[Any]) -> NDArray[Any]:
    """Replace the backslashes of Windows paths with ``/``."""
    return _each(filename, lambda name: "\\" in name, lambda name: name.replace("\\", "/"))


def _normal(filename: NDArray[Any]) -> NDArray[Any]:
    """Normalise paths: ``a/../b.tif`` and ``./b.tif`` become ``b.tif``."""
    return _each(filename, lambda name: "./" in name or "//" in name, posixpath.normpath)


def _leads_away(filename: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (N,) flags of names that leave their base folder or do not name a local file."""
    return np.fromiter((_is_away(name) for name in filename), dtype=bool, count=len(filename))


def _is_away(name: str) -> bool:
    if name.startswith("/vsi") or "://" in name:
        return True
    return ".." in name and (posixpath.normpath(name) + "/").startswith("../")


def _each(names: NDArray[Any], chosen: Callable[[str], bool], change: Callable[[str], str]) -> NDArray[Any]:
    changed = names.copy()
    for row in [row for row, name in enumerate(names) if chosen(name)]:
        changed[row] = change(names[row])
    return changed


class _Reader:
    """Reads the columns of one frame and records the first fault of each row."""

    required = ("filename", "label")

    def __init__(self, sheet: Sheet, path: Path) -> None:
        self.sheet, self.frame, self.names, self.path = sheet, sheet.frame, sheet.names, path
        self.reasons: dict[int, str] = {}

    def need(self, name: str) -> None:
        columns = self.names
        if name in columns:
            if name in self.sheet.repeated:
                raise DataError(f"{self.path}: has several columns {name}; keep one")
            return
        missing = [part for part in self.required if part not in columns]
        found = proposed([name, *(part for part in missing if part != name)], columns)
        if name in PARTS:
            hint = f"; perhaps --columns {written(found)}" if name in found else ""
        else:
            hint = nearest(name, columns)
        hint = separator_hint(columns) or hint
        raise DataError(f"{self.path}: no column {name} (columns: {', '.join(columns)}){hint}")

    def tell_places(self) -> None:
        """Log which columns may hold the places if a table has no columns lon and lat."""
        found = proposed(("lon", "lat"), self.names)
        if len(found) == 2:
            log.info(
                "%s: no columns lon and lat; if %s are degrees, give --columns %s",
                self.path, " and ".join(found.values()), written(found),
            )  # fmt: skip

    def fault(self, wrong: NDArray[np.bool_], reason: str, values: Any = None) -> None:  # noqa: ANN401
        for row in np.flatnonzero(wrong).tolist():
            what = reason if values is None else f"{reason}: {one_line(ValueError(values[row]), 60)}"
            self.reasons.setdefault(row, what)

    def text(self, name: str, *, required: bool = False) -> NDArray[Any] | None:
        if name not in self.names:
            return None
        self.need(name)
        text, empty = text_of(self.frame[name])
        if required:
            self.fault(empty, f"the cell {name} is empty, nan or None")
        return text

    def places(self) -> NDArray[np.float64] | None:
        names = [named(self.sheet, what, self.path) for what in ("lon", "lat")]
        if names[0] is None and names[1] is None:
            if not isinstance(self.frame, geopandas.GeoDataFrame):
                return None
            lonlat = lonlat_of_geometry(self.frame, self.path)
            nowhere = np.asarray(np.isinf(lonlat).any(axis=1))
            self.fault(nowhere, "its point is nowhere on the Earth in the CRS of the table")
        else:
            self.need("lon" if names[0] is None else names[0])
            self.need("lat" if names[1] is None else names[1])
            columns = [numbers_of(with_points(self.frame[name], self.path)) for name in names]
            for name, (_, wrong) in zip(names, columns, strict=True):
                self.fault(wrong, f"{name} is not a number of degrees", self.frame[name].to_numpy())
            lonlat = np.stack([numbers for numbers, _ in columns], axis=1)
            half = np.isnan(lonlat[:, 0]) != np.isnan(lonlat[:, 1])
            self.fault(half, "exactly one of lon, lat is there; give both or neither")
        with np.errstate(invalid="ignore"):
            beyond = (np.abs(lonlat[:, 1]) > 90) | np.isinf(lonlat).any(axis=1)
            swapped = bool((beyond & (np.abs(lonlat[:, 0]) <= 90)).any())
            hint = " (are lon and lat swapped?)" if swapped else ""
            self.fault(beyond, f"a latitude beyond 90 degrees{hint}", lonlat[:, 1])
            self.fault(np.abs(lonlat[:, 0]) > 360, "a longitude beyond 360 degrees", lonlat[:, 0])
        lonlat[:, 0] = wrap_lon(np.where(np.isinf(lonlat[:, 0]), np.nan, lonlat[:, 0]))
        return lonlat

    def times(self) -> NDArray[np.float64] | None:
        if "timestamp" not in self.frame.columns:
            return None
        self.need("timestamp")
        column = self.frame["timestamp"]
        text, empty = text_of(column)
        is_time = pd.api.types.is_datetime64_any_dtype(column)
        known = column.reset_index(drop=True) if is_time else pd.Series(text).where(~empty)
        stamps = pd.to_datetime(known, utc=True, errors="coerce", format="ISO8601")
        self.fault(
            stamps.isna().to_numpy() & ~empty, "timestamp is not ISO 8601 (2021-05-31T10:15:00Z)", text
        )
        whole = stamps.dt.tz_localize(None).to_numpy().astype("datetime64[us]")  # also holds years after 2262
        return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)

    def without_faults(self, table: Table) -> Table:
        chosen = np.ones(len(table.filename), dtype=bool)
        chosen[list(self.reasons)] = False
        names, row = table.filename, table.row
        skipped = [Skip(int(row[k]), str(names[k]), why) for k, why in sorted(self.reasons.items())]
        return table.keep(chosen, skipped)


def _refuse_contradictions(table: Table, names: pd.Series, path: Path) -> None:
    twice = names.duplicated(keep=False) & (names != "")
    if not twice.any():
        return
    for what, column in (("labels", table.label), ("splits", table.split)):
        if column is None:
            continue
        several = pd.Series(column)[twice].groupby(names[twice]).unique()
        for filename, values in several.items():
            if len(values) > 1:
                found = ", ".join(map(str, values))
                msg = f"{path}: {filename} is listed several times, with the {what} {found}"
                more = f" ({MULTI_LABEL})" if what == "labels" else ""
                raise DataError(f"{msg}; keep the right row{more}")
