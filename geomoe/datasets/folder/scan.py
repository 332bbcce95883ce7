"""Read the headers of a table's image files once, and store them."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from geomoe.errors import DataError, OutputError, OverBudgetError
from geomoe.reading.image_table import Table
from geomoe.reading.location import NOT_REFERENCED
from geomoe.reading.raster import Header, over_budget, read_header
from geomoe.reading.skips import Skip, refuse_many
from geomoe.reading.swapped import FAR_KM, refuse_swapped
from geomoe.reading.vectors import IN_THIS_THREAD
from geomoe.support.content import content_of, sample_of, size_and_time
from geomoe.support.progress import Progress
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.datasets.folder.side_files import SideFiles
    from geomoe.support.progress import Count

log = logging.getLogger(__name__)

FILE = "images.parquet"
FILE_VRT = "images-vrt.parquet"  # separate file if VRTs are allowed, so that stored refusals do not apply
_TELL = 10.0  # seconds between messages
_KEEP = 120.0  # seconds between saves of the headers read so far


class Scan(NamedTuple):
    """The usable files, in table order.

    Attributes:
        table: rows of the files.
        size: (N,) size in bytes.
        changed: (N,) modification time, nanoseconds since 1970.
        content: (N,) hash of every byte of the file.
        bands: (N,) number of data bands; a grey picture among colour ones counts as 3.
        side: (N,) longer side in pixels.
        dtype: (N,) name of the type that can hold the values of every band.
        gaps: (N,) whether pixels may lack data.
        own: (N, 2) degrees of the centre from the file's georeference; NaN if it has none.
        unknown: (N,) why the file has no place; empty if it has one.
        metres: (N,) ground size of a pixel; NaN where unknown.
        corners: (N, 4, 2) degrees of the corners; NaN where unknown.
    """

    table: Table
    size: NDArray[np.int64]
    changed: NDArray[np.int64]
    content: NDArray[Any]
    bands: NDArray[np.int64]
    side: NDArray[np.int64]
    dtype: NDArray[Any]
    gaps: NDArray[np.bool_]
    own: NDArray[np.float64]
    unknown: NDArray[Any]
    metres: NDArray[np.float64]
    corners: NDArray[np.float64]


def scan(
    table: Table,
    root: Path,
    files: SideFiles,
    bands: tuple[int, ...],
    where: Path,
    vrt_root: Path | None = None,
) -> Scan:
    """Read the header of every image; stored headers are used unless the file has changed.

    A file has changed when its size, its time or a sample of its content has (:func:`sample_of`). Then every
    byte is read for its hash. :func:`changed_unseen` reads every byte of all files.

    An interrupted scan, even a killed one, resumes near the point where it stopped.

    Args:
        table: the rows.
        root: base folder of the file names.
        files: side files that store the headers.
        bands: requested bands, counted from 1; empty: all.
        where: the table, for errors.
        vrt_root: folder that must contain all sources of VRTs; None: VRTs are refused.

    Raises:
        DataError: too many images are missing, unreadable or have another band count.
    """
    rows = _look_at_all(table.filename.tolist(), root, files, vrt_root)
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    bad = (frame["error"] != "").to_numpy()
    faults = [Skip(int(table.row[i]), rows[i][0], rows[i][-1]) for i in np.flatnonzero(bad).tolist()]
    large = frame["large"].to_numpy(bool)[bad]
    kept = table.keep(~bad, [fault for fault, over in zip(faults, large, strict=True) if not over])
    refuse_many(kept.skipped, kept.total, where)
    frame = frame[~bad]
    costly = [fault for fault, over in zip(faults, large, strict=True) if over]
    found, over = _scan(kept, frame), _over_budget(kept, frame, bands, where, costly)
    if over:
        within = ~np.isin(kept.filename, [skip.filename for skip in over])
        found, frame = _kept(found, within), frame[within]
    found = _same_bands(found, frame, bands, where)
    return found._replace(table=found.table.keep(np.ones(len(found.size), dtype=bool), over))


def _over_budget(
    table: Table, frame: pd.DataFrame, bands: tuple[int, ...], where: Path, costly: list[Skip]
) -> list[Skip]:
    """List the images that are too large to be read completely, after those with a block that is too large.

    They do not count as unusable rows, of which a table may have only a few: the table itself was read
    correctly.

    Raises:
        DataError: all images are too large.
    """
    asked = [len(bands)] * len(frame) if bands else frame["bands"].tolist()
    reasons = [over_budget(*one) for one in zip(frame["pixels"].tolist(), asked, strict=True)]
    over = costly + [
        Skip(int(table.row[k]), str(table.filename[k]), reason) for k, reason in enumerate(reasons) if reason
    ]
    if over and all(reasons):
        raise DataError(f"{where}: no image can be read whole; first: {over[0].filename}: {over[0].reason}")
    return over


def _look_at_all(
    names: list[str], root: Path, files: SideFiles, vrt_root: Path | None
) -> list[tuple[Any, ...]]:
    """Return a row of _COLUMNS for each name; save intermediate results regularly and on interruption."""
    kept_in = FILE if vrt_root is None else FILE_VRT
    earlier = _earlier(files, kept_in)
    rows: list[tuple[Any, ...]] = []
    new, kept = 0, time.monotonic()
    progress = Progress(log.info, _looking, parts=0, every=_TELL)
    try:
        for name in names:
            state = (*size_and_time(root / name), sample_of(root / name))
            old = earlier.get(name)
            if old is None or old[:3] != state:
                new += 1
                old = (*state, content_of(root / name), *_look(root / name, vrt_root))
            rows.append((name, *old))
            progress(len(rows), len(names))
            if time.monotonic() - kept > _KEEP:
                _keep(files, kept_in, rows, earlier)
                kept = time.monotonic()
    except BaseException:  # mainly Ctrl-C: the next run resumes here
        if new:
            with contextlib.suppress(OutputError):  # report the original error instead
                _keep(files, kept_in, rows, earlier)
        raise
    if new and progress.seconds > _TELL:
        log.info("looked at %s in %.0f s; the next run does not", counted(new, "image"), progress.seconds)
    if new:
        _keep(files, kept_in, rows, {})
    return rows


def changed_unseen(names: list[str], root: Path, files: SideFiles, vrt_root: Path | None = None) -> list[str]:
    """Return the files whose content has changed, although size, time and sample have not.

    Their stored headers are deleted, so that the next scan reads them again.
    """
    kept_in = FILE if vrt_root is None else FILE_VRT
    earlier = _earlier(files, kept_in)
    progress = Progress(log.info, _looking, parts=0, every=_TELL)
    wrong = []
    for number, name in enumerate(names, start=1):
        old = earlier.get(name)
        state = (*size_and_time(root / name), sample_of(root / name))
        if old is not None and old[:3] == state and old[3] != content_of(root / name):
            wrong.append(name)
        progress(number, len(names))
    if wrong:
        kept = [(name, *row) for name, row in earlier.items() if name not in set(wrong)]
        _keep(files, kept_in, kept, {})
    return wrong


def _looking(count: Count) -> str:
    return f"looking at images: {count.done} of {count.total}, {count.left:.0f} s left"


def _keep(
    files: SideFiles, name: str, rows: list[tuple[Any, ...]], earlier: dict[str, tuple[Any, ...]]
) -> None:
    """Save the headers read so far, and for other files those of an earlier run."""
    seen = {row[0] for row in rows}
    others = [(other, *row) for other, row in earlier.items() if other not in seen]
    frame = pd.DataFrame([*rows, *others], columns=list(_COLUMNS))
    files.write(name, lambda path: frame.to_parquet(path, index=False))


_CORNERS = tuple(f"{axis}_{number}" for number in range(4) for axis in ("lon", "lat"))
_COLUMNS = (
    "filename", "size", "changed", "sample", "content", "bands", "side", "pixels", "dtype", "picture",
    "alpha", "gaps", "lon", "lat", "unknown", "metres", *_CORNERS, "large", "error",
)  # fmt: skip


def _earlier(files: SideFiles, name: str) -> dict[str, tuple[Any, ...]]:
    path = files.find(name)
    if path is None:
        return {}
    try:
        frame = pd.read_parquet(path, **IN_THIS_THREAD)
        return {row[0]: row[1:] for row in frame[list(_COLUMNS)].itertuples(index=False, name=None)}
    except (ValueError, OSError, KeyError):
        return {}  # damaged or from another version: read every header again


def _look(path: Path, vrt_root: Path | None) -> tuple[Any, ...]:
    try:
        head = read_header(path) if vrt_root is None else read_header(path, vrt_root)
    except DataError as error:
        large = isinstance(error, OverBudgetError)
        nothing = (0, 0, 0, "", False, False, False, np.nan, np.nan, "", np.nan, *[np.nan] * 8)
        return (*nothing, large, _reason(str(error), path))
    return (*_facts(head), False, "")


def _facts(head: Header) -> tuple[Any, ...]:
    side = max(head.height, head.width)
    place = (head.lon, head.lat, head.unknown, head.metres, *head.corners)
    return head.bands, side, head.height * head.width, head.dtype, head.picture, head.alpha, head.gaps, *place


def _reason(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ")


def _scan(table: Table, frame: pd.DataFrame) -> Scan:
    return Scan(
        table,
        frame["size"].to_numpy(np.int64),
        frame["changed"].to_numpy(np.int64),
        frame["content"].to_numpy(dtype=object),
        frame["bands"].to_numpy(np.int64),
        frame["side"].to_numpy(np.int64),
        frame["dtype"].to_numpy(dtype=object),
        frame["gaps"].to_numpy(bool),
        frame[["lon", "lat"]].to_numpy(np.float64),
        frame["unknown"].to_numpy(dtype=object),
        frame["metres"].to_numpy(np.float64),
        frame[list(_CORNERS)].to_numpy(np.float64).reshape(-1, 4, 2),
    )


def _kept(found: Scan, chosen: Any) -> Scan:  # noqa: ANN401 - (N,) bool
    return Scan(found.table.keep(chosen), *(column[chosen] for column in found[1:]))


def _same_bands(found: Scan, frame: pd.DataFrame, bands: tuple[int, ...], where: Path) -> Scan:
    """Keep images of the most common band count, and grey pictures among colour ones.

    Raises:
        DataError: too many images have another count, or a requested band does not exist.
    """
    if bands and min(bands) < 1:
        raise DataError(f"data.bands: bands are counted from 1; got {min(bands)}")
    numbers, counts = np.unique(found.bands, return_counts=True)
    common = int(numbers[counts.argmax()])
    if bands:
        # bands marked as alpha also count if they are requested by number
        available = found.bands + frame["alpha"].to_numpy(np.int64)
        wrong, reason = available < max(bands), f"data.bands asks for band {max(bands)}"
    else:
        grey = frame["picture"].to_numpy(bool) & (found.bands == 1)
        if 3 in numbers and grey.any() and set(numbers.tolist()) == {1, 3} and grey[found.bands == 1].all():
            common = 3
        wrong = (found.bands != common) & ~(grey & (common == 3))
        reason = f"most images have {common}; choose some with data.bands"
        for dtype, count in frame["dtype"][~wrong].value_counts().items():
            if count < (~wrong).sum():
                log.warning("%s: %d of %d images hold %s", where, count, int((~wrong).sum()), dtype)
    names = found.table.filename
    skipped = [
        Skip(int(found.table.row[i]), str(names[i]), f"has {counted(found.bands[i], 'band')}: {reason}")
        for i in np.flatnonzero(wrong).tolist()
    ]
    table = found.table.keep(~wrong, skipped)
    refuse_many(table.skipped, table.total, where)
    if not bands and frame["alpha"].to_numpy(bool)[~wrong].any():
        log.info(
            "%s: a band that is marked as transparency is no data; data.bands asks for it by number", where
        )
    return Scan(table, *(column[~wrong] for column in found[1:]))


def places_of(found: Scan, where: Path) -> NDArray[np.float64]:
    """Return (N, 2) places: from the table if it has such columns, else from the images.

    Raises:
        DataError: the table's lon and lat are swapped, judging by the images' georeference.
    """
    given, own, count = found.table.lonlat, found.own, len(found.size)
    if given is None:
        for reason in sorted(set(found.unknown.tolist()) - {"", NOT_REFERENCED}):
            wrong = int((found.unknown == reason).sum())
            log.warning("%s: the place of %d of %d images is unknown: %s", where, wrong, count, reason)
        return own
    far = refuse_swapped(given, own, found.table.filename, where)
    if far.any():
        text = "%s: %d of %d places lie more than %g km from the image's own georeference; first: %s"
        log.warning(text, where, int(far.sum()), count, FAR_KM, found.table.filename[far][0])
    return given


def describe(skipped: Iterable[Skip], most: int = 3) -> str:
    """Describe the first few skipped items in one line."""
    listed = list(skipped)
    shown = "; ".join(f"{skip.filename or f'row {skip.row}'}: {skip.reason}" for skip in listed[:most])
    return shown + (f"; and {len(listed) - most} more" if len(listed) > most else "")
