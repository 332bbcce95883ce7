"""The tables of iWildCam (WILDS v2.0): ``metadata.csv``, ``categories.csv`` and the cameras' places."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from geomoe.coords import check_lonlat
from geomoe.errors import DataError, one_line
from geomoe.reading.sheets import read_sheet, separator_hint
from geomoe.support.bounded import parse_json
from geomoe.support.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: Split names of the table; a split's code is its position, as in WILDS.
SPLITS = ("train", "val", "test", "id_val", "id_test")
_WHOLE = ("location_remapped", "location", "sequence_remapped", "y")
_TEXT = ("split", "datetime", "filename")
_MOST = 2**53  # above this, floats are not exact integers
ROWS = 203_029  # rows of the complete table


class Table(NamedTuple):
    """All N rows of ``metadata.csv``, in file order.

    Attributes:
        split: (N,) int64 position in SPLITS.
        label: (N,) int64 position in ``classes``.
        camera: (N,) int64 ``location_remapped``, a position in ``locations``.
        sequence: (N,) int64 ``sequence_remapped``; the pictures of one burst share it.
        timestamp: (N,) float64 seconds since 1970 from the camera's clock, interpreted as UTC.
        filename: (N,) text.
        classes: class names.
        locations: (C,) int64 raw id of each camera, the key of ``gps_locations.json``.
        sha256: hash of the content of both files.
    """

    split: NDArray[np.int64]
    label: NDArray[np.int64]
    camera: NDArray[np.int64]
    sequence: NDArray[np.int64]
    timestamp: NDArray[np.float64]
    filename: NDArray[Any]
    classes: tuple[str, ...]
    locations: NDArray[np.int64]
    sha256: str


def read_table(folder: Path) -> Table:
    """Read and check the two tables in the data set's folder; the result is cached until a file changes.

    Raises:
        DataError: a table is unreadable, lacks a column or contradicts itself; the message has the
            file, the line and the value.
    """
    paths = folder / "metadata.csv", folder / "categories.csv"
    return _read_table(*paths, tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@lru_cache(maxsize=2)
def _read_table(metadata: Path, categories: Path, _state: tuple[tuple[int, int], ...]) -> Table:
    frame = _read_csv(metadata, (*_TEXT, *_WHOLE))
    whole = {name: _whole(frame, name, metadata) for name in _WHOLE}
    _refuse(frame["filename"] == "", frame["filename"], metadata, "filename", "is empty")
    _refuse(frame["filename"].duplicated(), frame["filename"], metadata, "filename", "comes twice")
    unknown = ~frame["split"].isin(SPLITS)
    _refuse(unknown, frame["split"], metadata, "split", f"is none of {', '.join(SPLITS)}")
    codes = {name: code for code, name in enumerate(SPLITS)}
    digest = hashlib.sha256(metadata.read_bytes() + categories.read_bytes())
    if len(frame) != ROWS:
        log.warning("%s: has %d rows, a part of the %d of WILDS' iWildCam", metadata, len(frame), ROWS)
    return Table(
        split=frame["split"].map(codes).to_numpy().astype(np.int64),
        label=whole["y"],
        camera=whole["location_remapped"],
        sequence=whole["sequence_remapped"],
        timestamp=_seconds(frame["datetime"], metadata),
        filename=np.array(frame["filename"].tolist()),
        classes=_classes(categories, whole["y"]),
        locations=_locations(whole["location_remapped"], whole["location"], metadata),
        sha256=digest.hexdigest(),
    )


def read_places(path: Path, locations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read the places of cameras: (C, 2) lonlat degrees; (NaN, NaN) for cameras missing from the file.

    Args:
        path: ``gps_locations.json`` of iWildCam 2021 or 2022: raw id -> latitude, longitude.
        locations: (C,) raw ids, as in :class:`Table`; never ``location_remapped``.

    Raises:
        DataError: the file has another format, an invalid place, or only places of other cameras.
        OSError: the file cannot be read.
    """
    text = read_bytes(path, DataError).decode("utf-8", "replace")
    try:
        content = parse_json(text)
        known = {int(key): (float(at["longitude"]), float(at["latitude"])) for key, at in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        form = '{"110": {"latitude": -2.5, "longitude": 29.4}, ...}'
        what = f"{type(error).__name__}: {one_line(error, 80)}"
        msg = f"{path}: not a file of camera places ({what}); expected {form}"
        raise DataError(msg) from error
    check_lonlat(np.array(list(known.values())).reshape(-1, 2), where=f"{path} (in the file's order)")
    found = np.array([known.get(int(location), (np.nan, np.nan)) for location in locations])
    if np.isnan(found).all():
        msg = (
            f"{path}: none of its {len(known)} cameras is one of the {len(locations)} of metadata.csv; get "
            "the file of iWildCam 2021 or 2022: its keys are the raw `location`"
        )
        raise DataError(msg)
    own = len(known.keys() & set(locations.tolist()))
    if 2 * own < len(known):
        text = "%s: only %d of its %d ids are cameras of metadata.csv: are they those of another release?"
        log.warning(text, path, own, len(known))
    return found


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read these columns as text; the index is the line number, where the header is line 1."""
    sheet = read_sheet(path, lambda name: name in columns)
    for name in columns:
        if f"{name}.1" in sheet.names:
            raise DataError(f"{path}: has several columns {name}; copy it again")
    missing = [name for name in columns if name not in sheet.names]
    if missing:
        msg = f"{path}: has no column {', '.join(missing)}; it has {', '.join(sheet.names)}"
        raise DataError(msg + separator_hint(sheet.names))
    if sheet.broken:
        row, what = sheet.broken[0]
        raise DataError(f"{path}: line {row + 1}: {what} ({len(sheet.broken)} such rows); copy it again")
    if sheet.frame.empty:
        raise DataError(f"{path}: has no rows; copy it again")
    return sheet.frame.set_axis(sheet.row + 1)


def _refuse(bad: pd.Series, values: pd.Series, path: Path, column: str, why: str) -> None:
    """Raise an error for the first bad row, if any."""
    if bad.any():
        line = bad.index[bad.to_numpy()][0]
        msg = f"{path}: line {line}: {column} {values[line]!r} {why} ({int(bad.sum())} such rows)"
        raise DataError(msg)


def _whole(frame: pd.DataFrame, column: str, path: Path) -> NDArray[np.int64]:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    bad = ~((numbers >= 0) & (numbers % 1 == 0) & (numbers < _MOST))  # also catches NaN
    _refuse(bad, frame[column], path, column, "is not a whole number of 0 or more")
    return numbers.to_numpy(np.int64)


def _seconds(column: pd.Series, path: Path) -> NDArray[np.float64]:
    times = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    _refuse(times.isna(), column, path, "datetime", "is no date and time such as 2013-06-02 10:25:57.000")
    start = pd.Timestamp("1970-01-01", tz="UTC")
    return ((times - start) / pd.Timedelta(seconds=1)).to_numpy().astype(np.float64)


def _locations(camera: NDArray[np.int64], location: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
    """Return the raw id of each camera; numbers from 0 on must map one-to-one to raw ids."""
    pairs = np.unique(np.stack([camera, location], axis=1), axis=0)
    for what, column in (("location_remapped", 0), ("location", 1)):
        ids, counts = np.unique(pairs[:, column], return_counts=True)
        if (counts > 1).any():
            msg = f"{path}: {what} {ids[counts > 1][0]} goes with several cameras; copy the table again"
            raise DataError(msg)
    if len(pairs) != camera.max() + 1:
        gap = np.flatnonzero(pairs[:, 0] != np.arange(len(pairs)))[0]
        msg = (
            f"{path}: location_remapped has no {gap} but goes to {camera.max()}: is this a part of the table?"
        )
        raise DataError(msg)
    return pairs[:, 1]


def _classes(path: Path, used: NDArray[np.int64]) -> tuple[str, ...]:
    """Return class names from 0 to the highest label in use; classes without images have y = 99999."""
    frame = _read_csv(path, ("y", "name"))
    labels = _whole(frame, "y", path)
    names = dict(zip(labels.tolist(), frame["name"], strict=True))
    count = int(used.max()) + 1
    missing = [label for label in np.unique(used).tolist() if label not in names]
    # Do not iterate up to a label that is far too high.
    missing = missing or [label for label in range(min(count, len(names) + 1)) if label not in names]
    if missing:
        msg = f"{path}: has no class y = {missing[0]}, which metadata.csv uses ({len(missing)} such classes)"
        raise DataError(msg)
    for label, times in zip(*np.unique(labels[labels < count], return_counts=True), strict=True):
        if times > 1:
            raise DataError(f"{path}: class y = {label} comes twice; copy the file again")
    classes = [names[label] for label in range(count)]
    # two species may go by one name: then the number is part of it
    return tuple(
        name if classes.count(name) == 1 else f"{name} ({label})" for label, name in enumerate(classes)
    )
