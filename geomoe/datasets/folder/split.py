"""Train/val/test split of a user's images by spatial blocks, so that neighbours stay together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from geomoe.errors import DataError
from geomoe.reading.sheets import read_frame
from geomoe.support.cells import plain_cell, safe_cell
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from numpy.typing import NDArray

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
#: Sides of blocks in degrees of latitude, from large to small; the first that gives enough blocks is taken.
SIDES = (6.0, 3.0, 1.5, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
ENOUGH = 40
LEFT_OUT = "left_out"  # the split of images that would touch another split
COLUMNS = ("filename", "split", "block")


class Blocks(NamedTuple):
    """The spatial block of each sample.

    Attributes:
        name: (N,) text: ``0.5_12_-34`` (side, row and column), or ``unknown_FILENAME`` without a place.
        side: side in degrees of latitude; 0 if no place is known.
    """

    name: NDArray[Any]
    side: float


def make_blocks(lonlat: NDArray[np.float64], filename: NDArray[Any], side: float | None = None) -> Blocks:
    """Divide the Earth into blocks of about equal area; a sample without a place is its own block.

    Args:
        lonlat: (N, 2) degrees; NaN where unknown.
        filename: (N,) names the blocks of samples without a place.
        side: side in degrees; default: the largest of SIDES that gives at least 40 blocks, else the smallest.
    """
    known = ~np.isnan(lonlat[:, 0])
    name = np.array([f"unknown_{item}" for item in filename], dtype=object)
    if not known.any():
        return Blocks(name, 0.0)
    places = lonlat[known]
    if side is None:
        counts = ((size, len(np.unique(_cells(places, size), axis=0))) for size in SIDES)
        side = next((size for size, count in counts if count >= ENOUGH), SIDES[-1])
    name[known] = [f"{side:g}_{row}_{column}" for row, column in _cells(places, side)]
    return Blocks(name, side)


def _cells(places: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    # Rows of equal height, each with a number of columns that makes its blocks about square.
    row = np.floor((places[:, 1] + 90) / side).astype(np.int64)
    middle = np.radians((row + 0.5) * side - 90)
    columns = np.maximum(np.round(360 * np.cos(middle) / side), 1)
    column = np.floor(np.mod(places[:, 0] + 180, 360) / 360 * columns).astype(np.int64)
    return np.stack([row, column], axis=1)


def assign(
    block: NDArray[Any], label: NDArray[Any], seed: int, split: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Assign every block to one split so that each class is divided as in SHARES, as far as blocks allow.

    Blocks are processed in random order, those with many samples first. Each goes to the split that lacks
    most of the block's classes at that point.

    Args:
        block: (N,) block names.
        label: (N,) classes.
        seed: seed of the order.
        split: (N,) splits assigned before; empty if not assigned. A block with an assigned sample goes to
            the split of that sample.

    Returns:
        (N,) train, val or test.

    Raises:
        DataError: there are fewer blocks than splits.
    """
    names, where = np.unique(block.astype(str), return_inverse=True)
    classes, kind = np.unique(label.astype(str), return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (where, kind), 1)
    chosen = np.full(len(names), -1)
    if split is not None:
        for number, part in enumerate(SHARES):
            chosen[where[split == part]] = number
    wanted = np.outer(list(SHARES.values()), counts.sum(axis=0))
    have = np.stack([counts[chosen == number].sum(axis=0) for number in range(len(SHARES))])
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    for number in order[chosen[order] < 0]:
        lack = (wanted - have) / np.maximum(wanted.sum(axis=1, keepdims=True), 1)
        best = int(np.argmax(lack @ counts[number]))
        chosen[number] = best
        have[best] += counts[number]
    parts = np.array(list(SHARES), dtype=object)[chosen]
    if len(set(parts)) < len(SHARES):
        few = len(names) < len(SHARES)
        are = f"{'is' if len(names) == 1 else 'are'} {counted(len(names), 'unit')}"
        why = f"there {are} of images that stay together, too few for"
        why = why if few else f"{len(classes)} classes have too few images each ({len(label)} in all) for"
        msg = f"no split can be made: {why} train, val and test"
        raise DataError(f"{msg}; give a column split")
    return parts[where]


def read_split(path: Path, known: Container[str] = ()) -> dict[str, tuple[str, str]]:
    """Read an existing split: filename -> split and block.

    Args:
        path: the file; text may be quoted as :func:`write_split` does.
        known: names of images, which are not taken for quoted ones.

    Raises:
        DataError: the file is not a split, or has splits other than train, val, test and left_out.
    """
    frame = read_frame(path)
    if tuple(frame.columns) != COLUMNS:
        msg = f"{path}: expected the columns {', '.join(COLUMNS)}; got {', '.join(map(str, frame.columns))}"
        raise DataError(f"{msg}; delete it, and a new split is made")
    wrong = frame[~frame["split"].isin([*SHARES, LEFT_OUT])]
    if len(wrong):
        names, found = ", ".join([*SHARES, LEFT_OUT]), wrong["split"].iloc[0]
        raise DataError(f"{path}: row {wrong.index[0] + 1}: expected {names}; got {found!r}")
    filenames = [name if name in known else plain_cell(name) for name in frame["filename"]]
    return dict(
        zip(filenames, zip(frame["split"], map(plain_cell, frame["block"]), strict=True), strict=True)
    )


def write_split(path: Path, rows: dict[str, tuple[str, str]], *, safe_csv: bool = False) -> None:
    """Write a split in the format of :func:`read_split`; ``safe_csv`` quotes what a spreadsheet would run."""
    frame = pd.DataFrame([(name, *rest) for name, rest in rows.items()], columns=list(COLUMNS))
    frame = frame.map(safe_cell) if safe_csv else frame
    frame.to_csv(path, index=False)


def made_split(
    filename: NDArray[Any],
    lonlat: NDArray[np.float64],
    label: NDArray[Any],
    seed: int,
    earlier: dict[str, tuple[str, str]],
) -> tuple[NDArray[Any], Blocks]:
    """Split the images: earlier assignments are kept, and new images follow their block.

    Args:
        filename: (N,) file names.
        lonlat: (N, 2) degrees; NaN where unknown.
        label: (N,) classes.
        seed: seed of the order in which blocks are assigned.
        earlier: result of :func:`read_split`; empty for a new split.

    Raises:
        DataError: there are fewer blocks than splits.
    """
    sides = [block.partition("_")[0] for _, block in earlier.values() if not block.startswith("unknown_")]
    try:
        side = float(sides[0]) if sides else None
    except ValueError as error:
        msg = f"block {sides[0]!r}: expected SIDE_ROW_COLUMN; delete the split, and a new one is made"
        raise DataError(msg) from error
    blocks = make_blocks(lonlat, filename, side)
    decided = np.array([earlier.get(str(name), ("", ""))[0] for name in filename], dtype=object)
    split = assign(blocks.name, label, seed, decided)
    return np.where(decided == "", split, decided), blocks
