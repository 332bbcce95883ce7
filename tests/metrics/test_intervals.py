import math

import numpy as np
import pytest
from scipy.stats import norm

from geomoe.errors import InputError
from geomoe.metrics import (
    accuracy,
    block_bootstrap,
    group_accuracy,
    macro_f1,
    weighted_accuracy,
    weighted_group_accuracy,
    weighted_macro_f1,
    weighted_worst_group,
    worst_group,
)


def sample(n=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    predictions = np.where(rng.random(n) < 0.6, labels, rng.integers(5, size=n))
    return predictions, labels, rng.integers(3, size=n), rng.integers(11, size=n)


def repeats(statistic_of_rows, weights):
    return [statistic_of_rows(np.repeat(np.arange(len(w)), w)) for w in weights]


def test_weighted_statistics_equal_the_metrics_on_repeated_samples():
    predictions, labels, groups, _ = sample()
    correct = predictions == labels
    weights = np.random.default_rng(1).integers(0, 3, size=(7, 120))

    def by_group(rows):
        scores = group_accuracy(predictions[rows], labels[rows], groups[rows], ["a", "b", "c"])
        return [scores[name].accuracy for name in "abc"]

    def worst(rows, exclude=()):
        scores = group_accuracy(predictions[rows], labels[rows], groups[rows], ["a", "b", "c"])
        return worst_group(scores, exclude)[1].accuracy

    def same(statistic, of_rows):
        np.testing.assert_allclose(statistic(weights.astype(float)), repeats(of_rows, weights), rtol=1e-6)

    same(weighted_accuracy(correct), lambda r: accuracy(predictions[r], labels[r]))
    same(weighted_group_accuracy(correct, groups, 3), by_group)
    same(weighted_worst_group(correct, groups, 3), worst)
    same(weighted_worst_group(correct, groups, 3, exclude=[0]), lambda r: worst(r, ["a"]))
    same(weighted_macro_f1(predictions, labels), lambda r: macro_f1(predictions[r], labels[r]))


def test_interval_equals_a_loop_over_resamples():
    predictions, labels, _, blocks = sample()
    correct = (predictions == labels).astype(float)
    names = np.unique(blocks)
    draws = np.random.default_rng(5).multinomial(len(names), np.full(len(names), 1 / len(names)), size=200)
    values = []
    for draw in draws:
        rows = [
            i
            for name, times in zip(names, draw, strict=True)
            for i in np.flatnonzero(blocks == name).repeat(times)
        ]
        values.append(correct[rows].mean())
    got = block_bootstrap(weighted_accuracy(correct), blocks, resamples=200, confidence=0.9, seed=5)
    assert got.estimate == pytest.approx(correct.mean())
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))
    assert got.undefined == 0


def test_chunks_do_not_change_the_numbers(monkeypatch):
    predictions, labels, groups, blocks = sample()
    statistic = weighted_group_accuracy(predictions == labels, groups, 3)
    whole = block_bootstrap(statistic, blocks, resamples=50)
    monkeypatch.setattr("geomoe.metrics.intervals._CHUNK", 400)
    parts = block_bootstrap(statistic, blocks, resamples=50)
    other = block_bootstrap(statistic, blocks, resamples=50, seed=1)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, two)
    assert whole.low.shape == (3,)
    assert not np.allclose(whole.low, other.low)


def test_width_follows_the_number_of_blocks_not_of_samples():
    """100 copies of each block's value: the interval is that of the 40 block values."""
    values = np.random.default_rng(2).normal(size=40)
    got = block_bootstrap(
        weighted_accuracy(values.repeat(100)), np.arange(40).repeat(100), resamples=4000, confidence=0.95
    )
    error = values.std() / math.sqrt(40)
    want = values.mean() + norm.ppf([0.025, 0.975]) * error
    assert (got.low, got.high) == pytest.approx(tuple(want), abs=0.12 * error)


def test_groups_missing_from_a_resample_are_reported():
    correct, groups, blocks = np.array([1, 0, 1, 1]), np.array([0, 0, 1, 2]), np.array(["a", "b", "b", "c"])
    got = block_bootstrap(weighted_group_accuracy(correct, groups, 4), blocks, resamples=2000)
    np.testing.assert_allclose(got.undefined[2], (2 / 3) ** 3, atol=0.04)  # block c is not drawn
    assert got.low[2] == got.high[2] == 1.0
    assert got.undefined[3] == 1.0
    assert np.isnan([got.estimate[3], got.low[3], got.high[3]]).all()


def test_any_statistic():
    """A weighted median: not a ratio of sums."""
    values, blocks = np.arange(30.0), np.arange(30) // 3

    def median(weights):
        return values[(weights.cumsum(axis=1) >= weights.sum(axis=1, keepdims=True) / 2).argmax(axis=1)]

    got = block_bootstrap(median, blocks, resamples=300)
    assert got.estimate == 14.0
    assert got.low < 14 < got.high


ONES = np.ones(4)
BAD = [
    (lambda: block_bootstrap(weighted_accuracy(ONES), [1, 1, 1, 1]), "two blocks or more; got 1"),
    (lambda: block_bootstrap(weighted_accuracy(ONES), []), "two blocks or more; got 0"),
    (lambda: block_bootstrap(weighted_accuracy(ONES), [0, 0, 1, 1], resamples=0), "got 0 and 0.95"),
    (lambda: block_bootstrap(weighted_accuracy(ONES), [0, 0, 1, 1], confidence=1), "got 1000 and 1"),
    (lambda: block_bootstrap(lambda w: w.sum(), [0, 1]), r"statistic: expected \(1000,\)"),
    (
        lambda: block_bootstrap(weighted_accuracy(ONES), [0, 1, 1]),
        "statistic: it is made for 4 samples; got 3",
    ),
    (lambda: weighted_accuracy([]), "correct: empty"),
    (lambda: weighted_group_accuracy(ONES, [0, 1], 2), "groups: expected 4 rows"),
    (lambda: weighted_group_accuracy(ONES, [0, 1, 2, 0], 2), "groups: expected ids below 2; got 2"),
    (lambda: weighted_worst_group(ONES, [0, 0, 1, 1], 3, exclude=[0, 1]), r"no samples left in groups \[2\]"),
    (lambda: weighted_macro_f1([0, 1], [0]), "predictions: expected 1 row"),
    (lambda: weighted_macro_f1([0, -1], [0, 1]), "class ids start at 0; got -1"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
