"""Spatial block bootstrap intervals: whole blocks are resampled, because neighbours are not independent.

scipy.stats.bootstrap is not used: it resamples single samples and does not support blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_ids, check_some

#: (S, n) sample weights, one row per resample -> (S,) or (S, k) values, NaN where not defined.
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_CHUNK = 4_000_000  # entries of a weight matrix held at once: 32 MB


class Interval(NamedTuple):
    """A statistic and its percentile interval.

    Attributes:
        estimate: () or (k,) on the original samples.
        low: () or (k,) lower end.
        high: () or (k,) upper end.
        undefined: () or (k,) share of the resamples in which the statistic was not defined (a group
            without samples); these are left out of the percentiles.
    """

    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    undefined: NDArray[np.float64]


def block_bootstrap(
    statistic: Statistic,
    blocks: Values,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic, from resampling spatial blocks with replacement.

    In a resample a sample's weight is the number of times its block was drawn. The statistic is computed
    for many resamples at once: it gets their weights, (S, n), and returns S values. The ``weighted_*``
    functions of this module make such statistics.

    Args:
        statistic: function of the weights; weights of 1 give its value on the original samples.
        blocks: (n,) spatial block of each sample: integers or text.
        resamples: number of resamples.
        confidence: share of the resamples inside the interval.
        seed: seed of the resampling; the same seed gives the same interval on every machine.

    Raises:
        InputError: fewer than two blocks, an invalid number of resamples or confidence, or a
            statistic that does not return one value for each row.
    """
    array = as_array(blocks, "blocks")
    names, block = np.unique(array, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"blocks: resampling needs two blocks or more; got {len(names)}")
    if resamples < 1 or not 0 < confidence < 1:
        found = f"{resamples} and {confidence}"
        raise InputError(f"bootstrap: expected resamples >= 1 and confidence inside (0, 1); got {found}")
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=resamples
    )
    step = max(1, _CHUNK // len(array))
    parts = [
        _ask(statistic, draws[start : start + step, block.reshape(-1)].astype(np.float64))
        for start in range(0, resamples, step)
    ]
    values = np.concatenate(parts)
    estimate = _ask(statistic, np.ones((1, len(array))))[0]
    low, high = _percentiles(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, low, high, np.isnan(values).mean(axis=0))


def weighted_accuracy(correct: Values) -> Statistic:
    """Accuracy under weights; ``correct`` (n,) is true where the prediction is right."""
    right = as_array(correct, "correct").astype(np.float64)
    check_some(right, "correct")
    return lambda weights: _ratio(_totals(weights, right), weights.sum(axis=1))


def weighted_group_accuracy(correct: Values, groups: Values, num_groups: int) -> Statistic:
    """Accuracy of each group under weights, (S, num_groups); NaN for a group without samples.

    Args:
        correct: (n,) true where the prediction is right.
        groups: (n,) group ids; a negative one belongs to no group.
        num_groups: number of groups.

    Raises:
        InputError: shapes that do not fit, or a group id of num_groups or more.
    """
    right = as_array(correct, "correct").astype(np.float64)
    group = as_ids(groups, "groups", len(right))
    check_some(right, "correct")
    member = _one_hot(group, num_groups, "groups")
    hits = member * right[:, None]
    return lambda weights: _ratio(_totals(weights, hits), _totals(weights, member))


def weighted_worst_group(
    correct: Values, groups: Values, num_groups: int, exclude: Collection[int] = ()
) -> Statistic:
    """Lowest accuracy over the groups with samples in the resample, (S,).

    Args:
        correct: (n,) true where the prediction is right.
        groups: (n,) group ids; a negative one belongs to no group.
        num_groups: number of groups.
        exclude: ids of groups that are never the worst, such as WILDS' region "Other".

    Raises:
        InputError: as in :func:`weighted_group_accuracy`, or no group is left.
    """
    kept = [group for group in range(num_groups) if group not in exclude]
    present = np.isin(as_array(groups, "groups"), kept)
    if not present.any():
        raise InputError(f"exclude: no samples left in groups {kept}")
    each = weighted_group_accuracy(correct, groups, num_groups)

    return lambda weights: _lowest(each(weights)[:, kept])


def weighted_macro_f1(predictions: Values, labels: Values) -> Statistic:
    """Mean F1 under weights, over the classes that occur among the labels of the resample.

    Raises:
        InputError: shapes that do not fit, no samples, or negative class ids.
    """
    true = as_ids(labels, "labels")
    predicted = as_ids(predictions, "predictions", len(true))
    check_some(true, "labels")
    classes = np.unique(np.concatenate([true, predicted]))
    if classes[0] < 0:
        raise InputError(f"labels and predictions: class ids start at 0; got {classes[0]}")
    is_true, is_predicted = (ids[:, None] == classes[None, :] for ids in (true, predicted))
    columns = np.concatenate([is_true & is_predicted, is_true, is_predicted], axis=1).astype(np.float64)

    return lambda weights: mean_f1(*np.split(_totals(weights, columns), 3, axis=1))


def lowest_accuracy(correct: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lowest accuracy over the groups with samples, of each resample.

    Args:
        correct: (S, G) correct answers in each group.
        count: (S, G) samples of each group; a group with 0 of them is left out.

    Returns:
        (S,) shares; NaN where no group has samples.
    """
    return _lowest(_ratio(correct, count))


def mean_f1(
    correct: NDArray[np.float64], labelled: NDArray[np.float64], answered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean F1 over the classes that occur among the labels, of each resample.

    Args:
        correct: (S, C) samples of each class that were given it.
        labelled: (S, C) samples of each class; a class with 0 of them is left out.
        answered: (S, C) samples that were given each class.

    Returns:
        (S,) shares; NaN where no class has samples.
    """
    present = labelled > 0
    each = np.where(present, _ratio(2 * correct, labelled + answered), 0.0)
    return _ratio(each.sum(axis=1), present.sum(axis=1, dtype=np.float64))


def _lowest(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, G) scores with NaN where there is none -> (S,) the lowest of each row."""
    lowest = np.where(np.isnan(scores), np.inf, scores).min(axis=1)
    return np.where(np.isinf(lowest), np.nan, lowest)


def _ask(statistic: Statistic, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(statistic(weights), dtype=np.float64)
    if values.ndim not in (1, 2) or len(values) != len(weights):
        raise InputError(
            f"statistic: expected ({len(weights)},) or ({len(weights)}, k) values for weights of shape "
            f"{weights.shape}; got {values.shape}"
        )
    return values


def _percentiles(values: NDArray[np.float64], shares: list[float]) -> NDArray[np.float64]:
    """Percentiles over the resamples without NaN; NaN if there are none."""
    columns = values.reshape(len(values), -1)
    ends = [
        np.quantile(column, shares) if len(column := c[~np.isnan(c)]) else np.full(len(shares), np.nan)
        for c in columns.T
    ]
    return np.stack(ends, axis=1).reshape(len(shares), *values.shape[1:])


def _one_hot(ids: NDArray[np.int64], size: int, name: str) -> NDArray[np.float64]:
    if ids.max(initial=-1) >= size:
        raise InputError(f"{name}: expected ids below {size}; got {ids.max()}")
    return (ids[:, None] == np.arange(size)[None, :]).astype(np.float64)


def _totals(weights: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    if weights.shape[1] != len(columns):
        raise InputError(
            f"statistic: it is made for {len(columns)} samples; got {weights.shape[1]} blocks or weights"
        )
    return weights @ columns


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Division, with NaN where the divisor is 0."""
    return np.divide(above, below, where=below > 0, out=np.full(above.shape, np.nan))
