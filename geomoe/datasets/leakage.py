"""What one split knows of another: the same samples, the same places, places that are nearly the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.datasets.audit import nearest_km

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

TARGET = ("target_in", "target_out")  # DomainBed's two parts of the target domain
#: Splits that are parts of test, or of one another, by definition.
OVERLAPPING = ({"test", "held_out"}, *({whole, part} for whole in ("test", "held_out") for part in TARGET))
SAME_KM = 0.002  # two metres: one place, written with five decimals of a degree or more


class Pair(NamedTuple):
    """Two splits; distances are from each sample of ``second`` of known place to the nearest of ``first``.

    Attributes:
        first: name of one split.
        second: name of the other.
        shared_rows: samples of the data set that are in both.
        shared_domains: domains that have samples in both.
        same_place: samples of second at a place (within 2 m) where first has one.
        near: samples of second within the distance that was asked for, those at the same place included.
        min_km: the smallest distance; NaN where either has no known place.
        median_km: over the samples of second.
    """

    first: str
    second: str
    shared_rows: int
    shared_domains: int
    same_place: int
    near: int
    min_km: float
    median_km: float


def known_places(data: LabelledImages) -> NDArray[np.float64]:
    """(n, 2) lonlat of the samples whose place is known."""
    return data.lonlat[~np.isnan(data.lonlat[:, 0])]


def distances(data: LabelledImages, others: LabelledImages) -> NDArray[np.float64]:
    """(N,) km from each sample to the nearest other one; NaN where its place, or every other, is unknown."""
    result = np.full(len(data), np.nan)
    known = ~np.isnan(data.lonlat[:, 0])
    targets = np.unique(known_places(others), axis=0)
    if known.any() and len(targets):
        places, inverse = np.unique(data.lonlat[known], axis=0, return_inverse=True)
        result[known] = nearest_km(places, targets)[inverse.reshape(-1)]
    return result


def compare(parts: Mapping[str, LabelledImages], near_km: float) -> list[Pair]:
    """Compare every two splits, but those of which one is a part of the other (``held_out`` of ``test``).

    Args:
        parts: name -> split.
        near_km: distance from which places count as far apart.
    """
    pairs = []
    meant = [*OVERLAPPING, *(pair for data in parts.values() for pair in data.overlapping)]
    for first, second in itertools.combinations(parts, 2):
        if {first, second} in meant:
            continue
        one, other = parts[first], parts[second]
        km = distances(other, one)
        km = km[~np.isnan(km)]
        domains = np.intersect1d(one.domains[one.domains >= 0], other.domains[other.domains >= 0])
        pairs.append(
            Pair(
                first,
                second,
                shared_rows=len(np.intersect1d(one.rows, other.rows)),
                shared_domains=len(domains),
                same_place=int((km <= SAME_KM).sum()),
                near=int((km <= near_km).sum()),
                min_km=float(km.min()) if len(km) else float("nan"),
                median_km=float(np.median(km)) if len(km) else float("nan"),
            )
        )
    return pairs
