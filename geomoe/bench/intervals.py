"""Block-bootstrap intervals of means over runs, from the correct answers of each run in each block.

All runs are resampled together: a block that is drawn twice counts twice in every run. So the interval of a
difference is paired, and that of a mean over seeds is as wide as the samples allow, whatever the seeds do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.metrics import block_bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geomoe.bench.run_values import Blocks
    from geomoe.bench.values import Interval

CONFIDENCE = 0.95


def mean_interval(runs: Sequence[Blocks], choice: str, resamples: int) -> Interval | None:
    """Interval of the mean accuracy over runs.

    Args:
        runs: samples and correct answers of each run.
        choice: who answered.
        resamples: number of resamples; 0: no interval.

    Returns:
        Low and high; None without resamples, or with fewer than two blocks.
    """
    tables = [_table(one, choice) for one in runs]
    return _interval([(table, 1.0 / len(tables)) for table in tables], resamples)


def difference_interval(
    pairs: Sequence[tuple[Blocks, Blocks]], choices: tuple[str, str], resamples: int
) -> Interval | None:
    """Interval of the mean difference in accuracy over pairs of runs, as :func:`mean_interval`."""
    tables = []
    for one, other in pairs:
        tables.append((_table(one, choices[0]), 1.0 / len(pairs)))
        tables.append((_table(other, choices[1]), -1.0 / len(pairs)))
    return _interval(tables, resamples)


def _table(one: Blocks, choice: str) -> NDArray[np.int64]:
    """(n, 3): block, samples, correct answers."""
    return np.array([one.block, one.count, one.correct[choice]], dtype=np.int64).T


def _interval(tables: Sequence[tuple[NDArray[np.int64], float]], resamples: int) -> Interval | None:
    if not tables or not resamples:
        return None
    blocks = np.concatenate([table[:, 0] for table, _ in tables])
    if len(np.unique(blocks)) < 2:
        return None
    lengths = [len(table) for table, _ in tables]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    count, correct = (np.concatenate([table[:, k] for table, _ in tables]).astype(float) for k in (1, 2))
    factor = np.array([factor for _, factor in tables])

    def mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        hits, samples = (np.add.reduceat(weights * column, starts, axis=1) for column in (correct, count))
        share = np.divide(hits, samples, where=samples > 0, out=np.full(hits.shape, np.nan))
        return share @ factor

    found = block_bootstrap(mean, blocks, resamples=resamples, confidence=CONFIDENCE)
    low, high = float(found.low), float(found.high)
    return None if np.isnan(low) else (low, high)
