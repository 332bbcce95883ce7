"""Comparison of methods by paired runs: tests, their correction for multiple comparisons, and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PairedTest = Literal["t", "wilcoxon"]


def paired_test(differences: Values, test: PairedTest = "t") -> float | None:
    """Two-sided p-value of paired differences; the null hypothesis is that their mean (or median) is 0.

    Args:
        differences: (n,) one for each pair.
        test: ``t``: Student's t-test; ``wilcoxon``: the signed-rank test, exact for few pairs without ties.
            With n pairs its p-value is at least 2 / 2**n, so that three pairs never give less than 0.25.

    Returns:
        The p-value; None with fewer than two pairs, or if all differences are equal, so that their deviation
        is 0.

    Raises:
        InputError: differences that are not finite, or an unknown test.
    """
    values = as_array(differences, "differences").astype(np.float64).reshape(-1)
    if not np.isfinite(values).all():
        raise InputError(f"differences: expected finite numbers; got {values.tolist()}")
    if test not in ("t", "wilcoxon"):
        raise InputError(f"test: expected t or wilcoxon; got {test!r}")
    spread = np.ptp(values) if len(values) else 0.0
    if len(values) < 2 or spread <= 1e-12 * np.abs(values).max():
        return None
    found = stats.ttest_1samp(values, 0.0) if test == "t" else stats.wilcoxon(values)
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple tests, so that the chance of any false rejection stays below the level.

    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics:
    the k-th smallest of m p-values is multiplied by m - k + 1; an adjusted value is at least that of each
    smaller p-value, and at most 1.

    Args:
        p_values: in any order.

    Returns:
        The adjusted values, in the order given.

    Raises:
        InputError: a value outside 0 to 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():  # also refuses NaN
        raise InputError(f"p_values: expected numbers from 0 to 1; got {values.tolist()}")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return adjusted.tolist()


def mean_ranks(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Mean rank of each method over some trials, 1 for the highest score; ties share their mean rank.

    Args:
        scores: method -> one score for each trial, in the same order for all.

    Raises:
        InputError: methods with different numbers of trials, or none.
    """
    table = [list(row) for row in scores.values()]
    if not table or len({len(row) for row in table}) != 1 or not table[0]:
        raise InputError(
            f"scores: expected as many trials for each method; got {[len(row) for row in table]}"
        )
    ranks = stats.rankdata(-np.asarray(table, dtype=np.float64), axis=0)
    return dict(zip(scores, ranks.mean(axis=1).tolist(), strict=True))
