"""Block-bootstrap intervals of a score over runs, from each run's counts by block.

All runs are resampled together: a block that is drawn twice counts twice in every run. So the interval of a
difference is paired. The interval of a mean over seeds reflects the choice of samples, not the spread of
seeds. The score of a resample is computed from its counts: the lowest accuracy over the domains that have
samples in it, or over the classes that occur among its labels, or the mean F1 over these classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.metrics import block_bootstrap, lowest_accuracy, mean_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from geomoe.bench.results.values import Interval
    from geomoe.bench.running.counts import Counts
    from geomoe.bench.running.run_values import Blocks

CONFIDENCE = 0.95


class Sums(NamedTuple):
    """Counts from which the score of one run is computed, summed by block and group.

    Attributes:
        block: (n,) block of each entry.
        group: (n,) domain or class of each entry.
        counts: the counts that the statistic needs, (n,) each.
        statistic: the score of S resamples from these counts, (S, groups) each.
    """

    block: NDArray[np.int64]
    group: NDArray[np.int64]
    counts: tuple[NDArray[np.int64], ...]
    statistic: Callable[..., NDArray[np.float64]]


def sums(blocks: Blocks, counts: Counts | None, choice: str, score: str) -> Sums | None:
    """Counts from which the score of a run is computed.

    Args:
        blocks: samples and correct answers of each block.
        counts: samples of each domain and class in each block; accuracy does not need them.
        choice: choice of experts.
        score: accuracy, worst, worst_class or macro_f1.

    Returns:
        Sums by block; None if the score needs counts or domains that are missing.
    """
    if score == "accuracy":
        table = (blocks.block, (0,) * len(blocks.block), blocks.correct[choice], blocks.count)
        return _sums(table, lowest_accuracy)  # of one group
    if counts is None:
        return None
    if score == "worst":
        own = counts.domains
        table = (own.block, own.group, own.correct[choice], own.count)
        return _sums(table, lowest_accuracy) if own.block else None
    own = counts.classes
    if score == "worst_class":
        return _sums((own.block, own.group, own.correct[choice], own.count), lowest_accuracy)
    return _sums((own.block, own.group, own.correct[choice], own.count, own.answered[choice]), mean_f1)


def _sums(table: Sequence[tuple[int, ...]], statistic: Callable[..., NDArray[np.float64]]) -> Sums:
    block, group, *counts = (np.array(column, dtype=np.int64) for column in table)
    return Sums(block, group, tuple(counts), statistic)


def score_of(one: Sums) -> float:
    """The score on the samples themselves."""
    blocks = np.unique(one.block)
    return float(_scores(one, blocks)(np.ones((1, len(blocks))))[0])


def mean_interval(runs: Sequence[Sums | None], resamples: int) -> Interval | None:
    """Interval of the mean score over runs.

    Args:
        runs: counts of each run.
        resamples: number of resamples; 0: no interval.

    Returns:
        Low and high; None without resamples, with fewer than two blocks, or if a run has no such score.
    """
    return _interval([(one, 1.0 / len(runs)) for one in runs], resamples)


def difference_interval(pairs: Sequence[tuple[Sums | None, Sums | None]], resamples: int) -> Interval | None:
    """Interval of the mean difference in a score over pairs of runs, as :func:`mean_interval`."""
    share = 1.0 / max(len(pairs), 1)
    signed = [(run, sign * share) for pair in pairs for run, sign in zip(pair, (1.0, -1.0), strict=True)]
    return _interval(signed, resamples)


def _interval(runs: Sequence[tuple[Sums | None, float]], resamples: int) -> Interval | None:
    known = [(run, factor) for run, factor in runs if run is not None]
    if not resamples or not known or len(known) < len(runs):
        return None
    blocks = np.unique(np.concatenate([run.block for run, _ in known]))
    if len(blocks) < 2:
        return None
    parts = [(_scores(run, blocks), factor) for run, factor in known]

    def mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sum([factor * scores(weights) for scores, factor in parts], axis=0)

    found = block_bootstrap(mean, blocks, resamples=resamples, confidence=CONFIDENCE)
    low, high = float(found.low), float(found.high)
    return None if np.isnan(low) else (low, high)


def _scores(one: Sums, blocks: NDArray[np.int64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The scores (S,) of a run under weights (S, B) of the blocks."""
    tables = _tables(one, blocks)
    return lambda weights: one.statistic(*((table @ weights.T).T for table in tables))


def _tables(one: Sums, blocks: NDArray[np.int64]) -> list[csr_array]:
    """The counts as sparse tables (groups, B), because most classes do not occur in most blocks."""
    from scipy.sparse import csr_array

    groups, group = np.unique(one.group, return_inverse=True)
    where, shape = (group, np.searchsorted(blocks, one.block)), (len(groups), len(blocks))
    return [csr_array((column.astype(np.float64), where), shape=shape) for column in one.counts]
