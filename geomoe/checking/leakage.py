"""Leakage between splits: shared samples, equal places and nearby places."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.earth.nearest import nearest_km

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

SAME_KM = 0.002  # two metres: the same place, given with five or more decimals of a degree


class Pair(NamedTuple):
    """Two splits; distances are from samples of ``second`` with known place to the nearest of ``first``.

    Attributes:
        first: name of one split.
        second: name of the other.
        shared_rows: number of samples in both splits.
        shared_domains: number of domains with samples in both splits.
        same_place: samples of ``second`` at the same place (within 2 m) as a sample of ``first``.
        near: samples of ``second`` within the given distance, including those at the same place.
        min_km: the smallest distance; NaN if either split has no known place.
        median_km: median distance over the samples of ``second``.
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
    """Return (n, 2) lonlat of the samples with a known place."""
    return data.lonlat[~np.isnan(data.lonlat[:, 0])]


def different_places(lonlat: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the (M, 2) distinct places of (N, 2) known places, and the (N,) index of each."""
    pairs = np.ascontiguousarray(lonlat).view(np.complex128)[
        :, 0
    ]  # complex numbers sort five times faster than rows
    places, inverse = np.unique(pairs, return_inverse=True)
    return places.view(np.float64).reshape(-1, 2), inverse


def distances(data: LabelledImages, others: LabelledImages) -> NDArray[np.float64]:
    """Return (N,) km from each sample to the nearest of ``others``; NaN if either place is unknown."""
    result = np.full(len(data), np.nan)
    known = ~np.isnan(data.lonlat[:, 0])
    targets, _ = different_places(known_places(others))
    if known.any() and len(targets):
        places, inverse = different_places(data.lonlat[known])
        result[known] = nearest_km(places, targets)[inverse]
    return result


def measure(parts: Mapping[str, LabelledImages]) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return distances from samples of the second split to the nearest of the first, by both names.

    All pairs are compared except splits that overlap by definition (``held_out`` is a part of ``test``).
    """
    return {
        (first, second): distances(parts[second], parts[first])
        for first, second in itertools.combinations(parts, 2)
        if {first, second} not in parts[first].overlapping
    }


def compare(
    parts: Mapping[str, LabelledImages],
    near_km: float,
    measured: Mapping[tuple[str, str], NDArray[np.float64]] | None = None,
) -> list[Pair]:
    """Compare every pair of splits.

    Args:
        parts: name -> split.
        near_km: distance below which places count as near.
        measured: result of :func:`measure`, if it has already been computed.
    """
    pairs = []
    for (first, second), every in (measure(parts) if measured is None else measured).items():
        one, other, km = parts[first], parts[second], every[~np.isnan(every)]
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
