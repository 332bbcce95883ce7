"""Split a user's images so that neighbours stay in one split (rule 2; rule 1 is in split.py).

Images of one unit share a split. Images belong to one unit if they are connected by: a value of the column
``group`` or ``scene``; outlines that touch or overlap; names of one parent (``scene_0_0.tif``,
``scene_0_1.tif``); a block of space.
If everything touches, as in a mosaic, units are blocks, and images that touch another split are left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.coords import great_circle_km
from geomoe.datasets.folder.split import LEFT_OUT, SHARES, SIDES, assign, make_blocks
from geomoe.earth.footprints import components, neighbours, within_km
from geomoe.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from geomoe.earth.footprints import Footprints, Neighbours

_MOST = 0.4  # largest share of all images that may be one unit of connected images
_UNITS = 10  # fewest units that make a good split
_SCENE_KM = 300.0  # images with names of one parent that are further apart than this are not of one scene
#: Two numbers at the end, as of a row and a column: ``a_0_1``, ``a-r0-c1``, ``a_x12_y3``, ``a_row0_col1``.
_CHIP = re.compile(r"(.+?)[_\- .]+[a-z]{0,4}\d+[_\- x,]+[a-z]{0,4}\d+$", re.IGNORECASE)


class Made(NamedTuple):
    """A split of N images.

    Attributes:
        split: (N,) train, val, test, or ``left_out``.
        unit: (N,) name of the unit of each image: ``SIDE_...`` or ``unknown_FILENAME``.
        side: side of the blocks in degrees; 0: units are not blocks.
        cut: whether connected images had to be cut, so that some were left out at the cuts.
    """

    split: NDArray[Any]
    unit: NDArray[Any]
    side: float
    cut: bool


def split_units(
    filename: NDArray[Any],
    places: Footprints,
    kind: NDArray[Any],
    groups: Sequence[NDArray[Any] | None],
    seed: int,
    earlier: dict[str, tuple[str, str]],
) -> Made:
    """Split images by units; earlier assignments are kept.

    Args:
        filename: (N,) file names.
        places: where the images are.
        kind: (N,) kind of each image (its class and domain); each split gets its share of every kind.
        groups: (N,) columns; images with equal values stay together; empty text: no group.
        seed: seed of the order in which units are assigned.
        earlier: filename -> split and unit; empty for a new split.

    Raises:
        DataError: too few units for three splits.
    """
    beside = neighbours(places)
    decided = np.array([earlier.get(str(name), ("", ""))[0] for name in filename], dtype=object)
    together = np.concatenate([_equal(column) for column in groups if column is not None] + [_no_pairs()])
    parents = parent_pairs(filename, places.lonlat)
    sides = {unit.partition("_")[0] for _, unit in earlier.values() if not unit.startswith("unknown_")}
    number, side, cut = _choose(filename, places.lonlat, beside, together, parents, sides)
    unit = _names(number, filename, places.lonlat, side)
    fixed = np.where(decided == LEFT_OUT, "", decided)
    split = assign(unit, kind, seed, fixed)
    split = np.where(fixed == "", split, fixed).astype(object)
    split = _apart(split, decided, beside)
    split[decided == LEFT_OUT] = LEFT_OUT
    empty = [name for name in SHARES if name not in set(split.tolist())]
    if empty:
        raise DataError(
            f"no image is left for {', '.join(empty)}, because images of one split must not touch another; "
            "give a column split"
        )
    return Made(split, unit, side, cut)


def _choose(
    filename: NDArray[Any],
    lonlat: NDArray[np.float64],
    beside: Neighbours,
    together: NDArray[np.int64],
    parents: NDArray[np.int64],
    sides: set[str],
) -> tuple[NDArray[np.int64], float, bool]:
    """Return the unit of each image, the side of its blocks, and whether connected images are cut."""
    count = len(filename)
    first = make_blocks(lonlat, filename).side
    tried = [side for side in SIDES if side <= first] + [0.0]
    tried = [_side(one) for one in sides] or tried
    best: tuple[NDArray[np.int64], float] | None = None
    for side in tried:
        linked = np.concatenate([beside.links(), together, parents, _blocks(filename, lonlat, side)])
        number = components(count, linked)
        units, sizes = np.unique(number, return_counts=True)
        good = len(units) >= len(SHARES) and sizes.max() <= (_MOST if len(units) >= _UNITS else 0.5) * count
        if good and (len(units) >= _UNITS or best is None):
            best = number, side
            if len(units) >= _UNITS:
                break
    if best is not None:
        return *best, False
    enough = (len(set(make_blocks(lonlat, filename, side).name)) >= _UNITS for side in SIDES)
    side = next((side for side, good in zip(SIDES, enough, strict=True) if good), SIDES[-1])
    side = tried[0] if sides else side
    return components(count, np.concatenate([together, _blocks(filename, lonlat, side)])), side, True


def _side(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"block {text!r}: expected SIDE_ROW_COLUMN; delete the split, and a new one is made"
        raise DataError(msg) from error


def _no_pairs() -> NDArray[np.int64]:
    return np.empty((0, 2), dtype=np.int64)


def _equal(column: NDArray[Any]) -> NDArray[np.int64]:
    """Return pairs that connect all rows of one text; empty text connects nothing."""
    rows = np.flatnonzero(np.array([text != "" for text in column], dtype=bool))
    if not len(rows):
        return _no_pairs()
    _, first, number = np.unique(column[rows].astype(str), return_index=True, return_inverse=True)
    return np.stack([rows[first[number.reshape(-1)]], rows], axis=1)


def _blocks(filename: NDArray[Any], lonlat: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    return _equal(make_blocks(lonlat, filename, side).name) if side > 0 else _no_pairs()


def parent_pairs(filename: NDArray[Any], lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return pairs that connect images of one parent; see :func:`parents_of`."""
    return _equal(parents_of(filename, lonlat))


def parents_of(filename: NDArray[Any], lonlat: NDArray[np.float64]) -> NDArray[Any]:
    """Return (N,) parents: the common part of names that differ only in their last two numbers, like chips.

    A parent of most images, or of images far apart, is not a scene (``S2_2021_06.tif``). Empty text: no
    parent.
    """
    parent = np.array([_parent(str(name)) for name in filename], dtype=object)
    for one, rows in _rows_of(parent):
        known = rows[~np.isnan(lonlat[rows, 0])]
        wide = len(known) and (great_circle_km(lonlat[known], lonlat[known[:1]]) > _SCENE_KM).any()
        if wide or len(rows) > max(0.5 * len(filename), 1):
            parent[parent == one] = ""
    return parent


def _rows_of(names: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    values, number = np.unique(names.astype(str), return_inverse=True)
    order = np.argsort(number.reshape(-1), kind="stable")
    ends = np.searchsorted(number.reshape(-1)[order], np.arange(len(values) + 1))
    for k, value in enumerate(values.tolist()):
        if value:
            yield value, order[ends[k] : ends[k + 1]]


def _parent(name: str) -> str:
    folder, _, last = name.rpartition("/")
    found = _CHIP.match(last.rpartition(".")[0] or last)
    return f"{folder}/{found[1]}" if found else ""


def _names(
    number: NDArray[np.int64], filename: NDArray[Any], lonlat: NDArray[np.float64], side: float
) -> NDArray[Any]:
    """Name each unit by its first image in the order of names."""
    block = make_blocks(lonlat, filename, side or None).name
    names = np.empty(len(number), dtype=object)
    first: dict[int, str] = {}
    for row in np.argsort(filename.astype(str), kind="stable").tolist():
        known = not np.isnan(lonlat[row, 0])
        own = f"0_{filename[row]}" if known and not side else str(block[row])
        first.setdefault(int(number[row]), own)
    names[:] = [first[one] for one in number.tolist()]
    return names


def _apart(split: NDArray[Any], decided: NDArray[Any], beside: Neighbours) -> NDArray[Any]:
    """Leave out images that touch an image of another split: new ones first, then of train, then of val."""
    split = split.copy()
    for name in SHARES:  # new images never move an old one
        others = ~np.isin(split, [name, LEFT_OUT]) & (decided != "")
        split[(split == name) & (decided == "") & beside.beside(others)] = LEFT_OUT
    for name, later in _order():
        new = (split == name) & (decided == "")
        split[new & beside.beside(np.isin(split, later))] = LEFT_OUT
    return split


def buffered(split: NDArray[Any], places: Footprints, buffer_km: float) -> NDArray[Any]:
    """Leave out images of train within ``buffer_km`` of val or test, and images of val of test."""
    split = split.copy()
    for name, later in _order():
        rows = np.flatnonzero(split == name)
        close = within_km(places.take(rows), places.take(np.isin(split, later)), buffer_km)
        split[rows[close]] = LEFT_OUT
    return split


def _order() -> tuple[tuple[str, list[str]], ...]:
    """Each split from which images are left out, and the splits near which they are."""
    return (("train", ["val", "test"]), ("val", ["test"]))
