"""Verify that splits of the embedded data set share no pixel, and measure the distances between them.

    python -m tools.audit_bluemarble [--json]

The audit uses only the places of the samples: it paints every footprint into a mask of the whole image
and intersects the masks. It does not use the block rule that made the splits.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.datasets.bluemarble.index import (
    CROP,
    IMAGE_SHAPE,
    REGIONS,
    SPLIT_SEEDS,
    SPLIT_SHARES,
    Index,
    load_index,
    select,
)
from geomoe.earth.nearest import nearest_km

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REACH = 8  # largest gap between footprints that is measured, in pixels


class Pair(NamedTuple):
    """Two splits under one split seed.

    Attributes:
        split_seed: which declared split.
        first: name of one split.
        second: name of the other; distances are from each of its samples to the nearest of first.
        shared_pixels: image pixels that both splits contain; must be 0.
        gap_pixels: pixels between their nearest footprints (measured up to 8).
        min_km: smallest distance between centres.
        median_km: median distance from the samples of ``second`` to the nearest centre of ``first``.
    """

    split_seed: int
    first: str
    second: str
    shared_pixels: int
    gap_pixels: int
    min_km: float
    median_km: float


def audit(index: Index | None = None, split_seeds: Sequence[int] | None = None) -> list[Pair]:
    """Compare every pair of splits under the given split seeds (default: all declared seeds)."""
    index = load_index() if index is None else index
    corners = index.corners()
    pairs = []
    for seed in SPLIT_SEEDS if split_seeds is None else split_seeds:
        rows = {split: select(index, split, split_seed=seed) for split in SPLIT_SHARES}
        masks = {split: paint(corners[chosen]) for split, chosen in rows.items()}
        for first, second in itertools.combinations(SPLIT_SHARES, 2):
            distance = nearest_km(index.lonlat[rows[second]], index.lonlat[rows[first]])
            shared = int((masks[first] & masks[second]).sum())
            gap = gap_pixels(masks[first], masks[second])
            km = float(distance.min()), float(np.median(distance))
            pairs.append(Pair(seed, first, second, shared, gap, *km))
    return pairs


def leaks(index: Index | None = None) -> list[str]:
    """Return held-out protocols whose train or val contains the held-out region (expected: none)."""
    index = load_index() if index is None else index
    found = []
    for seed, (domain, region), split in itertools.product(SPLIT_SEEDS, enumerate(REGIONS), ("train", "val")):
        rows = select(index, split, split_seed=seed, held_out=region)
        if (index.region[rows] == domain).any() or not len(rows):
            found.append(f"split seed {seed}, held out {region}: {split}")
    return found


def paint(corners: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a (2700, 5400) mask of the pixels under footprints with the given top-left corners."""
    mask = np.zeros(IMAGE_SHAPE, dtype=bool)
    for row, column in corners:
        if not (0 <= row <= IMAGE_SHAPE[0] - CROP and 0 <= column <= IMAGE_SHAPE[1] - CROP):
            msg = f"footprint at row {row}, column {column} leaves the image"
            raise ValueError(msg)
        mask[row : row + CROP, column : column + CROP] = True
    return mask


def gap_pixels(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> int:
    """Return the pixels between two masks (larger of rows and columns), up to REACH; -1 if they overlap."""
    grown = first
    for gap in range(-1, REACH):
        if (grown & second).any():
            return gap
        grown = _grow(grown)
    return REACH


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # Grow by one pixel in all eight directions, across the antimeridian but not across the poles.
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    wide[:, 0] |= tall[:, -1]
    wide[:, -1] |= tall[:, 0]
    return wide


def main(argv: list[str] | None = None) -> int:
    """Print the audit; return exit status 1 if a split leaks into another."""
    parser = argparse.ArgumentParser(prog="python -m tools.audit_bluemarble", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for machines")
    args = parser.parse_args(argv)
    pairs, leaking = audit(), leaks()
    print(json.dumps(_plain(pairs, leaking)) if args.json else _text(pairs, leaking))
    return int(bool(leaking) or any(pair.shared_pixels for pair in pairs))


def _plain(pairs: list[Pair], leaking: list[str]) -> dict[str, Any]:
    return {"pairs": [pair._asdict() for pair in pairs], "leaks": leaking}


def _text(pairs: list[Pair], leaking: list[str]) -> str:
    lines = ["seed  splits        shared pixels  gap (pixels)  nearest km: min  median"]
    for pair in pairs:
        splits = f"{pair.first}-{pair.second}"
        numbers = (
            f"{pair.shared_pixels:13d}  {pair.gap_pixels:12d}  {pair.min_km:15.0f}  {pair.median_km:6.0f}"
        )
        lines.append(f"{pair.split_seed:4d}  {splits:12s}  {numbers}")
    lines += [f"LEAK: {leak}" for leak in leaking]
    shared = sum(pair.shared_pixels for pair in pairs)
    clean = not shared and not leaking
    lines.append("no split shares a pixel with another" if clean else f"NOT CLEAN: {shared} shared pixels")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
