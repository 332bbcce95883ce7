"""The tables of iWildCam (WILDS v2.0): ``metadata.csv``, ``categories.csv`` and the cameras' places."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.coords import check_lonlat
from geomoe.errors import DataError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

#: Split names of the table; a split's code is its position, as in WILDS.
SPLITS = ("train", "val", "test", "id_val", "id_test")
_WHOLE = ("location_remapped", "location", "sequence_remapped", "y")
_TEXT = ("split", "datetime", "filename")


class Table(NamedTuple):
    """All rows of ``metadata.csv``, in its order; N rows.

    Attributes:
        split: (N,) int64 position in SPLITS.
        label: (N,) int64 position in ``classes``.
        camera: (N,) int64 ``location_remapped``, a position in ``locations``.
        sequence: (N,) int64 ``sequence_remapped``: pictures of one burst.
        timestamp: (N,) float64 seconds since 1970 of the camera's own clock, read as UTC.
        filename: (N,) text.
        classes: class names.
        locations: (C,) int64 raw id of each camera, the key of ``gps_locations.json``.
        sha256: of the two files' content.
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
    """Read and check the two tables in the data set's folder; kept until a file changes.

    Raises:
        DataError: a table that is unreadable, lacks a column or contradicts itself; the message has
            the file, the line and the value.
    """
    paths = folder / "metadata.csv", folder / "categories.csv"
    return _read_table(*paths, tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@lru_cache(maxsize=2)
def _read_table(metadata: Path, categories: Path, _state: tuple[tuple[int, int], ...]) -> Table:
    frame = _read_csv(metadata, (*_TEXT, *_WHOLE))
    whole = {name: _whole(frame, name, metadata) for name in _WHOLE}
    _refuse(frame["filename"].duplicated(), frame["filename"], metadata, "filename", "comes twice")
    unknown = ~frame["split"].isin(SPLITS)
    _refuse(unknown, frame["split"], metadata, "split", f"is none of {', '.join(SPLITS)}")
    codes = {name: code for code, name in enumerate(SPLITS)}
    digest = hashlib.sha256(metadata.read_bytes() + categories.read_bytes())
    return Table(
        split=frame["split"].map(codes).to_numpy().astype(np.int64),
        label=whole["y"],
        camera=whole["location_remapped"],
        sequence=whole["sequence_remapped"],
        timestamp=_seconds(frame["datetime"], metadata),
        filename=frame["filename"].to_numpy(dtype=str),
        classes=_classes(categories, int(whole["y"].max()) + 1),
        locations=_locations(whole["location_remapped"], whole["location"], metadata),
        sha256=digest.hexdigest(),
    )


def read_places(path: Path, locations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places of cameras: (C, 2) lonlat degrees, NaN, NaN where the file has no such camera.

    Args:
        path: ``gps_locations.json`` of iWildCam 2021 or 2022: raw id -> latitude, longitude.
        locations: (C,) raw ids, as in :class:`Table`; never ``location_remapped``.

    Raises:
        DataError: not such a file, an impossible place, or places of other cameras only.
        OSError: the file cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
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
    return found


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    try:
        header = pd.read_csv(path, nrows=0).columns
        missing = [name for name in columns if name not in header]
        if missing:
            msg = f"{path}: has no column {', '.join(missing)}; it has {', '.join(map(str, header))}"
            raise DataError(msg)
        frame = pd.read_csv(path, usecols=list(columns), low_memory=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable table ({one_line(error)}); copy it again"
        raise DataError(msg) from error
    if frame.empty:
        msg = f"{path}: has no rows; copy it again"
        raise DataError(msg)
    return frame


def _refuse(bad: pd.Series, values: pd.Series, path: Path, column: str, why: str) -> None:
    """Refuse rows; the line is that of a text editor, the header being line 1."""
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        value, count = values.iloc[row], int(bad.sum())
        shown = repr(value) if isinstance(value, str) else str(value)
        msg = f"{path}: line {row + 2}: {column} {shown} {why} ({count} such rows)"
        raise DataError(msg)


def _whole(frame: pd.DataFrame, column: str, path: Path) -> NDArray[np.int64]:
    import pandas as pd

    numbers = pd.to_numeric(frame[column], errors="coerce")
    bad = ~((numbers >= 0) & (numbers % 1 == 0))  # a NaN is bad too
    _refuse(bad, frame[column], path, column, "is not a whole number of 0 or more")
    return numbers.to_numpy(np.int64)


def _seconds(column: pd.Series, path: Path) -> NDArray[np.float64]:
    import pandas as pd

    times = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    _refuse(times.isna(), column, path, "datetime", "is no date and time such as 2013-06-02 10:25:57.000")
    start = pd.Timestamp("1970-01-01", tz="UTC")
    return ((times - start) / pd.Timedelta(seconds=1)).to_numpy().astype(np.float64)


def _locations(camera: NDArray[np.int64], location: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
    """Raw id of each camera; each number from 0 on must have exactly one, and no two the same."""
    pairs = np.unique(np.stack([camera, location], axis=1), axis=0)
    for what, column in (("location_remapped", 0), ("location", 1)):
        ids, counts = np.unique(pairs[:, column], return_counts=True)
        if (counts > 1).any():
            msg = f"{path}: {what} {ids[counts > 1][0]} goes with several cameras; copy the table again"
            raise DataError(msg)
    if len(pairs) != camera.max() + 1:
        gap = np.setdiff1d(np.arange(camera.max() + 1), pairs[:, 0])[0]
        msg = (
            f"{path}: location_remapped has no {gap} but goes to {camera.max()}: is this a part of the table?"
        )
        raise DataError(msg)
    return pairs[:, 1]


def _classes(path: Path, count: int) -> tuple[str, ...]:
    """Names of classes 0 to count - 1; classes that no image has are listed with y = 99999."""
    frame = _read_csv(path, ("y", "name"))
    labels = _whole(frame, "y", path)
    names = dict(zip(labels.tolist(), frame["name"].astype(str), strict=True))
    missing = [label for label in range(count) if label not in names]
    if missing:
        msg = f"{path}: has no class y = {missing[0]}, which metadata.csv uses ({len(missing)} such classes)"
        raise DataError(msg)
    used = labels[labels < count]
    if len(np.unique(used)) < len(used):
        twice = int(np.flatnonzero(np.bincount(used) > 1)[0])
        msg = f"{path}: class y = {twice} comes twice; copy the file again"
        raise DataError(msg)
    return tuple(names[label] for label in range(count))
