"""Agreement of two routers on the same samples or places. This module does not import torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.metrics.arrays import Values, as_ids, check_some
from geomoe.metrics.slots import match_experts


class Agreement(NamedTuple):
    """How far two routers agree on the dominant expert.

    Attributes:
        same: share of samples with the same number.
        matched: share of samples with the same expert, after the numbers of the second router have been
            matched to those of the first so that this share is largest.
        adjusted_rand: adjusted Rand index of the two partitions, which does not depend on the numbers: 1 for
            equal partitions, 0 on average for random ones with the same sizes.
        partner: (E,) for each expert of the first router, that of the second.
    """

    same: float
    matched: float
    adjusted_rand: float
    partner: NDArray[np.int64]


def routing_agreement(first: Values, second: Values, experts: int) -> Agreement:
    """Compare the dominant experts of two routers.

    Args:
        first: (n,) expert of each sample.
        second: (n,) expert of each sample, in the other router.
        experts: E.

    Raises:
        InputError: no samples, or shapes that differ.
    """
    a = as_ids(first, "first")
    b = as_ids(second, "second", len(a))
    check_some(a, "first")
    table = np.bincount(a * experts + b, minlength=experts**2).reshape(experts, experts)
    partner = match_experts(table)
    matched = table[np.arange(experts), partner].sum() / len(a)
    return Agreement(float((a == b).mean()), float(matched), adjusted_rand(table), partner)


def adjusted_rand(table: NDArray[np.int64]) -> float:
    """Adjusted Rand index of a contingency table (Hubert and Arabie, 1985).

    (sum_ij C(n_ij, 2) - expected) / ((a + b) / 2 - expected), with a and b the numbers of pairs of samples
    in the same part of the first and of the second partition, and expected = a b / C(n, 2).

    Args:
        table: counts of samples, by part of the first and part of the second partition.

    Returns:
        At most 1. Two partitions that are both one part, or both all singletons, are equal: 1.
    """
    counts = np.asarray(table, dtype=np.float64)
    total = counts.sum()
    both, rows, columns, every = (
        float((values * (values - 1) / 2).sum())
        for values in (counts, counts.sum(axis=1), counts.sum(axis=0), np.array([total]))
    )
    expected = rows * columns / every if every else 0.0
    middle = (rows + columns) / 2
    return 1.0 if middle == expected else (both - expected) / (middle - expected)
