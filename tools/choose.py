"""Which places become samples, and which split each block is in.

Everything is decided by counts and by SHA-256 of ids, never by a random generator, so the choice never
changes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.datasets.bluemarble.index import (
    BLOCK_DEGREES,
    CLASSES,
    COLUMNS,
    CROP,
    LABEL_DEGREES,
    NORTH,
    PIXELS_PER_DEGREE,
    REGIONS,
    SOUTH,
    SPLIT_SEEDS,
    SPLIT_SHARES,
)
from tools.earth import CELLS_PER_DEGREE

if TYPE_CHECKING:
    from numpy.typing import NDArray

CAP = 500  # largest number of samples of a class in a region
BLOCK_CAP = 60  # largest number of these in one block, so that rare classes do not depend on few blocks
PURITY = 0.5  # share of the central square that the label's class must cover
STEP = 4  # cells: 0.2 degrees, the finest lattice on which pixels and land-cover cells share corners


class Candidates(NamedTuple):
    """Places that pass every rule: centre in land-cover cells from (180 W, 90 N), label, region, block."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    label: NDArray[np.int64]
    region: NDArray[np.int64]
    block: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """The candidates at the given positions."""
        return Candidates(*(column[rows] for column in self))


def make_table(regions: NDArray[np.uint8], landcover: NDArray[np.uint8]) -> str:
    """The CSV text of the index from two 0.05-degree rasters (ids of tools.earth)."""
    found = find_candidates(regions, landcover)
    chosen = found.take(cap(found))
    split = assign_splits(chosen)
    order = np.lexsort((chosen.column, chosen.row, chosen.block))
    lines = [
        "# bluemarble 1: tools/make_bluemarble_index.py, from MCD12C1 v006 (2019) and Natural Earth 4.1",
        "# lon, lat: centre in degrees",
        "# label: " + "; ".join(f"{i} {name}" for i, name in enumerate(CLASSES)),
        "# split under each declared seed: "
        + "; ".join(f"{i} {name}" for i, name in enumerate(SPLIT_SHARES)),
        "# region: " + "; ".join(f"{i} {name}" for i, name in enumerate(REGIONS)),
        ",".join(COLUMNS),
    ]
    for i in order:
        lon = chosen.column[i] / CELLS_PER_DEGREE - 180
        lat = 90 - chosen.row[i] / CELLS_PER_DEGREE
        ids = (chosen.label[i], chosen.region[i], chosen.block[i], *split[i])
        lines.append(f"{lon:.1f},{lat:.1f}," + ",".join(map(str, ids)))
    return "\n".join(lines) + "\n"


def find_candidates(regions: NDArray[np.uint8], landcover: NDArray[np.uint8]) -> Candidates:
    """Every lattice point whose footprint lies in one block and on one region, with a pure label."""
    side = BLOCK_DEGREES * CELLS_PER_DEGREE
    strips = []
    for top in range(0, len(regions), side):  # one row of blocks at a time: footprints stay inside it
        rows = slice(top, top + side)
        if regions[rows].any():
            strips.append(_strip(regions[rows], landcover[rows], top))
    return Candidates(*(np.concatenate(columns) for columns in zip(*strips, strict=True)))


def _strip(regions: NDArray[np.uint8], landcover: NDArray[np.uint8], top: int) -> Candidates:
    # Candidates of one row of blocks; ``top`` is its first cell.
    half = int(LABEL_DEGREES / 2 * CELLS_PER_DEGREE)
    row, column = _lattice(top)
    counts = np.stack([_window_sums(landcover == i + 1, row, column, half) for i in range(len(CLASSES))])
    pure = counts.max(axis=0) >= PURITY * (2 * half) ** 2
    # Land of another region anywhere under the footprint excludes a place, so that no pixel of a held-out
    # region is ever seen in training.
    reach = int(np.ceil(CROP / 2 / PIXELS_PER_DEGREE * CELLS_PER_DEGREE))
    seen = np.stack([_window_sums(regions == i + 1, row, column, reach) > 0 for i in range(len(REGIONS) + 1)])
    keep = pure & (seen.sum(axis=0) == 1) & ~seen[len(REGIONS)]
    side = BLOCK_DEGREES * CELLS_PER_DEGREE
    block = top // side * (360 // BLOCK_DEGREES) + column // side
    found = Candidates(row + top, column, counts.argmax(axis=0), seen.argmax(axis=0), block)
    return found.take(np.flatnonzero(keep))


def _lattice(top: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Centres in a row of blocks whose footprint of CROP pixels fits inside a block, SOUTH to NORTH;
    # rows are counted from ``top``.
    side = BLOCK_DEGREES * CELLS_PER_DEGREE
    margin = CROP / 2 / PIXELS_PER_DEGREE * CELLS_PER_DEGREE
    rows, columns = np.arange(0, side, STEP), np.arange(0, 360 * CELLS_PER_DEGREE, STEP)
    lat = 90 - (rows + top) / CELLS_PER_DEGREE
    rows = rows[(rows >= margin) & (rows <= side - margin) & (lat >= SOUTH) & (lat <= NORTH)]
    columns = columns[(columns % side >= margin) & (columns % side <= side - margin)]
    row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    return row, column


def _window_sums(
    mask: NDArray[np.bool_], row: NDArray[np.int64], column: NDArray[np.int64], half: int
) -> NDArray[np.int64]:
    # Set cells in the square of 2 * half cells around each corner, by an integral image.
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int32), axis=1, out=total[1:, 1:])
    top, bottom, left, right = row - half, row + half, column - half, column + half
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]


def cap(found: Candidates) -> NDArray[np.int64]:
    """At most CAP of each class and region, BLOCK_CAP in a block, taken from its blocks in turn."""
    rank = np.array([_hash("place", r, c) for r, c in zip(found.row, found.column, strict=True)])
    chosen = []
    for label in range(len(CLASSES)):
        for region in range(len(REGIONS)):
            rows = np.flatnonzero((found.label == label) & (found.region == region))
            rows = rows[np.lexsort((rank[rows], found.block[rows]))]
            _, first, size = np.unique(found.block[rows], return_index=True, return_counts=True)
            turn = np.arange(len(rows)) - np.repeat(first, size)
            rows, turn = rows[turn < BLOCK_CAP], turn[turn < BLOCK_CAP]
            chosen.append(rows[np.lexsort((rank[rows], turn))][:CAP])
    return np.sort(np.concatenate(chosen))


def assign_splits(chosen: Candidates) -> NDArray[np.int64]:
    """Split of each sample under each declared seed, (N, seeds): positions in SPLIT_SHARES.

    The blocks are first divided into as many test sets as there are seeds; then, for each seed, the
    blocks outside its test set are divided into train and val.
    """
    blocks, block_of = np.unique(chosen.block, return_inverse=True)
    counts, weight = _strata(chosen, block_of, len(blocks))
    train, val, test = (list(SPLIT_SHARES).index(name) for name in ("train", "val", "test"))
    quarter = deal(counts, weight, blocks, np.full(len(SPLIT_SEEDS), 1 / len(SPLIT_SEEDS)))
    split = np.full((len(blocks), len(SPLIT_SEEDS)), test)
    for column in range(len(SPLIT_SEEDS)):
        rest = quarter != column
        shares = np.array([SPLIT_SHARES["train"], SPLIT_SHARES["val"]])
        dealt = deal(counts[rest], weight, blocks[rest], shares / shares.sum())
        split[rest, column] = np.where(dealt == 0, train, val)
    return split[block_of]


def _strata(
    chosen: Candidates, block_of: NDArray[np.int64], num_blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Counts of each block by class x region, then one column for each region that marks the blocks
    # whose main region it is; a region's blocks weigh as much as its classes together.
    cells = len(CLASSES) * len(REGIONS)
    counts = np.zeros((num_blocks, cells + len(REGIONS)))
    np.add.at(counts, (block_of, chosen.region * len(CLASSES) + chosen.label), 1)
    home = counts[:, :cells].reshape(num_blocks, len(REGIONS), -1).sum(axis=2).argmax(axis=1)
    counts[np.arange(num_blocks), cells + home] = 1
    weight = np.r_[np.ones(cells), np.full(len(REGIONS), len(CLASSES))]
    return counts, weight / np.maximum(counts.sum(axis=0), 1)


def deal(
    counts: NDArray[np.float64],
    weight: NDArray[np.float64],
    ids: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Divide groups into parts that have the same shares in every stratum.

    Groups are assigned in order of size, the largest first; each goes to the part where the weighted sum over
    strata of squared load, relative to the part's share, grows least. Then groups are exchanged as long as
    this makes the sum smaller.

    Args:
        counts: (groups, strata) samples of each group in each stratum.
        weight: (strata,) weight of each stratum's squared load.
        ids: (groups,) ids; equally large groups are ordered by the hash of their ids.
        shares: (parts,) desired share of each stratum; sums to 1.
    """
    order = sorted(range(len(ids)), key=lambda g: (-counts[g].sum(), _hash("block", int(ids[g]))))
    load, part = np.zeros((len(shares), counts.shape[1])), np.zeros(len(ids), dtype=np.int64)
    for g in order:
        growth = ((2 * load * counts[g] + counts[g] ** 2) * weight).sum(axis=1) / shares
        part[g] = int(np.argmin(np.round(growth, 9)))
        load[part[g]] += counts[g]
    improved = True
    while improved:
        improved = False
        for g in order:
            improved |= _swap(g, counts, weight, shares, part, load)
    return part


def _swap(
    g: int,
    counts: NDArray[np.float64],
    weight: NDArray[np.float64],
    shares: NDArray[np.float64],
    part: NDArray[np.int64],
    load: NDArray[np.float64],
) -> bool:
    # Exchange group g, in place, with the group of another part that helps most; return whether one helped.
    here = part[g]
    gain = counts - counts[g]  # what the part of g receives
    change = 2 * load[here] * gain + gain**2
    growth = (change * weight).sum(axis=1) / shares[here]
    growth += ((gain**2 - 2 * load[part] * gain) * weight).sum(axis=1) / shares[part]
    growth[part == here] = 0
    other = int(np.argmin(np.round(growth, 9)))
    if growth[other] > -1e-6:
        return False
    load[here] += gain[other]
    load[part[other]] -= gain[other]
    part[g], part[other] = part[other], here
    return True


def _hash(kind: str, *ids: int) -> int:
    text = f"bluemarble {kind} {' '.join(str(int(i)) for i in ids)}"
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:6], "big")
