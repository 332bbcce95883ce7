"""Build the index of a user's images from the table, the files and the split."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.datasets.base import Columns
from geomoe.datasets.cache.pixels import KINDS
from geomoe.datasets.folder.decide import Rule, decide
from geomoe.datasets.folder.doubts import alike, doubts, ground_doubts
from geomoe.datasets.folder.scan import Scan, describe, places_of, scan
from geomoe.datasets.folder.units import parents_of
from geomoe.earth.footprints import Footprints
from geomoe.errors import DataError
from geomoe.reading.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.datasets.folder.side_files import SideFiles
    from geomoe.reading.image_table import Table

log = logging.getLogger(__name__)

ALL = "all"  # the one domain of a table that names none


class Pixels(NamedTuple):
    """What determines the pixels of all images, before missing pixels are filled.

    Attributes:
        key: hash of the files' names and contents in row order, and of the selected bands.
        earlier: the key in the form of earlier versions, with sizes and times instead of contents.
        dtype: type in which a cache stores the pixels.
        gaps: whether some pixels may lack data.
    """

    key: str
    earlier: str
    dtype: str
    gaps: bool


class Index(NamedTuple):
    """Every usable image of all splits; arrays of length N.

    Attributes:
        filename: names as in the table.
        columns: places, class ids, domain ids, blocks, rows.
        split: split names.
        side: longer side in pixels.
        dtype: name of the type that can hold the values of every band of an image.
        timestamp: seconds since 1970 (UTC), or None.
        country: positions in ``countries``, -1 where there is no code; None: the table has no codes.
        countries: country codes.
        classes, domains: names of classes and domains, by id.
        bands: number of bands of an image.
        data_hash: hash of names, contents, labels, places, domains, splits and the selected bands.
        earlier_hashes: the same as earlier versions computed it: with sizes for contents.
        skipped: rows and images that were skipped.
        remarks: the same as text.
        doubts: classes and splits that look misspelled, joined or truncated.
        size: size of each file in bytes.
        content: hash of every byte of each file.
        pixels: what determines the pixels, for an image cache.
        footprints: where the images are.
        groups: (N, G) numbers of the groups of each image, whose images should be in one split; -1: in none.
        metres: ground size of a pixel of each image; NaN where unknown.
        parents: (N,) numbers of the scenes to which the images belong by their file names; -1: none.
    """

    filename: NDArray[Any]
    columns: Columns
    split: NDArray[Any]
    side: NDArray[np.int64]
    dtype: NDArray[Any]
    timestamp: NDArray[np.float64] | None
    country: NDArray[np.int64] | None
    countries: tuple[str, ...]
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    bands: int
    data_hash: str
    earlier_hashes: tuple[str, ...]
    skipped: list[Skip]
    remarks: tuple[str, ...]
    doubts: tuple[str, ...]
    size: NDArray[np.int64]
    content: NDArray[Any]
    pixels: Pixels
    footprints: Footprints
    groups: NDArray[np.int64]
    metres: NDArray[np.float64]
    parents: NDArray[np.int64]


def make_index(
    table: Table,
    folder: Path,
    where: Path,
    files: SideFiles,
    bands: tuple[int, ...],
    rule: Rule,
    allow_vrt: bool = False,
) -> Index:
    """Read the headers of the files of a table, and assign the images to splits.

    Args:
        table: the rows of all images.
        folder: base folder of the file names.
        where: the table, or the folder that is used instead of one.
        files: side files that store headers and the split.
        bands: bands to read, counted from 1; empty: all.
        rule: how a split is made if the table has none.
        allow_vrt: whether to read VRTs; their sources must be in ``folder``.

    Raises:
        DataError: a table or images that cannot be used; see docs/datasets/folder.md for what is skipped.
    """
    found = scan(table, folder, files, bands, where, folder if allow_vrt else None)
    table = found.table
    if table.label is None:
        raise DataError(f"{where}: no column label")
    remarks = tuple(_skipped(table, files))
    for remark in remarks:
        log.warning("%s: %s", where, remark)
    lonlat = places_of(found, where)
    classes, label = _codes(table.label)
    named = np.full(len(label), ALL, dtype=object) if table.domain is None else table.domain
    domains, domain = _codes(named)
    # each split gets its share of every class in every domain
    kind = np.array([f"{a} {b}" for a, b in zip(label, domain, strict=True)], dtype=object)
    footprints = Footprints(found.corners, lonlat)
    split, block, said = decide(table, footprints, kind, rule, files, where)
    for remark in said:
        log.warning("%s: %s", where, remark)
    wide = ground_doubts(found.metres * found.side, split)
    doubtful = (*doubts(classes, label, split), *alike(domains, "domains"), *wide)
    for doubt in doubtful:
        log.warning("%s: %s", where, doubt)
    countries, country = ((), None) if table.country is None else _codes(table.country)
    places = np.round(lonlat, 6)  # versions of PROJ may differ in the last digits
    facts = [table.filename, table.label, domain, split, places]
    return Index(
        table.filename,
        Columns(lonlat, label, domain, _codes(block)[1], np.arange(len(label), dtype=np.int64)),
        split,
        found.side,
        found.dtype,
        table.timestamp,
        country,
        countries,
        classes,
        domains,
        len(bands) or int(found.bands.max()),
        hash_of([*facts, found.content, bands]),
        (hash_of([*facts, found.size, bands]),),
        table.skipped,
        (*remarks, *said),
        doubtful,
        found.size,
        found.content,
        _pixels(found, bands),
        footprints,
        _groups(table),
        found.metres,
        _codes(parents_of(table.filename, lonlat))[1],
    )


def _groups(table: Table) -> NDArray[np.int64]:
    """Return (N, G) numbers of the values of the columns that stay in one split; -1 where there is none."""
    columns = [column for column in (table.group, table.scene) if column is not None]
    return np.array([_codes(column)[1] for column in columns], dtype=np.int64).reshape(-1, len(table.row)).T


def _pixels(found: Scan, bands: tuple[int, ...]) -> Pixels:
    # Whether grey pictures are repeated to three bands depends on all images together.
    names, most = found.table.filename, found.bands.max()
    key = hash_of([names, found.content, bands, most])
    earlier = hash_of([names, found.size, found.changed, bands, most])
    common = np.result_type(*set(found.dtype.tolist())).name
    return Pixels(key, earlier, common if common in KINDS else "float32", bool(found.gaps.any()))


def _skipped(table: Table, files: SideFiles) -> Iterator[str]:
    listed = files.write_skipped(table.skipped)
    if table.skipped:
        rows = f"{len(table.skipped)} of {table.total} rows are left out"
        yield f"{rows}, listed in {listed}: {describe(table.skipped)}"


def _codes(names: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return sorted names (numbers by value) and (N,) positions; -1 where the text is empty."""
    found = sorted({str(name) for name in names if name != ""}, key=_order)
    positions = {name: number for number, name in enumerate(found)}
    return tuple(found), np.array([positions.get(str(name), -1) for name in names], dtype=np.int64)


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def hash_of(parts: list[Any]) -> str:
    """Return one hash of columns and settings."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(np.asarray(part).tolist()).encode())
        digest.update(b"\0")
    return digest.hexdigest()
