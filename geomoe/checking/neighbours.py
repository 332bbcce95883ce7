"""Images of two splits that touch or overlap, and groups that are in two splits: leakage that is a fault."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from geomoe.checking.places import Finding
from geomoe.earth.footprints import Footprints, neighbours
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geomoe.datasets.base import LabelledImages


def look_at_neighbours(parts: Mapping[str, LabelledImages]) -> Iterator[Finding]:
    """Yield a fault for each pair of splits with images that touch, or with images of one group.

    Images at one place without an outline (those of a camera) are no fault; :mod:`leakage` reports them.

    Args:
        parts: name -> split; all of one data set.
    """
    some = [data for data in parts.values() if data.footprints is not None]
    if not some:
        return
    corners = np.concatenate([data.footprints.corners for data in some])  # type: ignore[union-attr]
    lonlat = np.concatenate([data.footprints.lonlat for data in some])  # type: ignore[union-attr]
    outlined = ~np.isnan(corners).any(axis=(1, 2))
    beside = neighbours(Footprints(corners, lonlat))
    ends = np.cumsum([0, *(len(data) for data in some)])
    rows = {id(data): slice(ends[k], ends[k + 1]) for k, data in enumerate(some)}
    for first, second in itertools.combinations(parts, 2):
        one, other = parts[first], parts[second]
        if {first, second} in one.overlapping or id(one) not in rows or id(other) not in rows:
            continue
        chosen = np.zeros(len(corners), dtype=bool)
        chosen[rows[id(one)]] = True
        near = (beside.beside(chosen & outlined) & outlined)[rows[id(other)]]
        where = f"{first}, {second}"
        if near.any():
            one_touches, they_touch = (
                f"image of {second} touches or overlaps",
                f"images of {second} touch or overlap",
            )
            text = f"{counted(int(near.sum()), one_touches, they_touch)} images of {first}"
            yield Finding("fault", where, f"{text}; without a column split, they are kept in one split")
        both = _shared_groups(one, other)
        if both:
            which = " (column group or scene) "
            have = counted(both, f"group{which}has", f"groups{which}have")
            yield Finding("fault", where, f"{have} images in both")
        yield from _shared_parents(one, other, where)


def _shared_parents(one: LabelledImages, other: LabelledImages, where: str) -> Iterator[Finding]:
    """A fault if images of two splits are of one scene by their names; a warning if outlines are apart."""
    if one.parents is None or other.parents is None:
        return
    both = np.intersect1d(one.parents[one.parents >= 0], other.parents[other.parents >= 0])
    if not len(both):
        return
    outlined = True
    for data in (one, other):
        corners = data.footprints.corners[np.isin(data.parents, both)]  # type: ignore[union-attr,arg-type]
        outlined &= not np.isnan(corners).any()
    row = int(np.flatnonzero(one.parents == both[0])[0])
    have = counted(len(both), "scene has", "scenes have")
    text = f"{have} images in both, by their names (first: {one.name_of(row)})"
    text += "; without a column split, they are kept in one split"
    yield Finding("warning" if outlined else "fault", where, text)


def _shared_groups(one: LabelledImages, other: LabelledImages) -> int:
    if one.groups is None or other.groups is None:
        return 0
    columns = zip(one.groups.T, other.groups.T, strict=True)
    return sum(len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in columns)
