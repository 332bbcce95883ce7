"""Nulls: the mean is scikit-learn's expected mutual information; orders keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from geomoe.errors import InputError
from geomoe.metrics import mutual_information
from geomoe.metrics.permutation import block_order, free_order, order_within, permuted_information


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 150)
    return first, np.where(rng.random(150) < 0.3, first, rng.integers(0, 6, 150))


def test_mean_is_the_expected_mutual_information(labels):
    first, second = labels
    null = permuted_information(first, second, free_order(150), permutations=3000)
    table = contingency_matrix(first, second, sparse=True).astype(np.int64)
    assert null.mean == pytest.approx(expected_mutual_information(table, 150), rel=0.02)
    assert null.p == pytest.approx(1 / 3001)
    assert null.mean < null.high < mutual_information(first, second).nats


def test_null_is_the_literal_loop(labels):
    first, second = labels
    order, rng = free_order(150), np.random.default_rng(5)
    values = [mutual_info_score(first[order(rng)], second) for _ in range(40)]
    observed = mutual_info_score(first, second)
    null = permuted_information(first, second, order, permutations=40, seed=5)
    assert null.mean == pytest.approx(np.mean(values))
    assert null.high == pytest.approx(np.quantile(values, 0.95))
    assert null.p == pytest.approx((1 + sum(value >= observed - 1e-12 for value in values)) / 41)


@pytest.mark.slow
def test_p_values_are_uniform_without_a_relation():
    rng = np.random.default_rng(1)
    found = [
        permuted_information(
            rng.integers(0, 5, 60), rng.integers(0, 6, 60), free_order(60), permutations=59, seed=seed
        ).p
        for seed in range(150)
    ]
    assert kstest(found, "uniform").pvalue > 0.01


def test_constant_labels_are_explained_by_chance():
    null = permuted_information(np.zeros(9, dtype=int), np.arange(9), free_order(9), permutations=10)
    assert null == (0, 0, 1)


def test_block_order_keeps_runs_of_neighbours():
    block = np.array([7, 3, 7, 3, 9, 9, 9, 3])
    order, rng = block_order(block), np.random.default_rng(0)
    place = np.argsort(block, kind="stable")
    seen = set()
    for _ in range(50):
        found = order(rng)
        assert sorted(found) == list(range(8))
        sequence = found[place].tolist()  # what is where, block by block
        runs = [[1, 3, 7], [0, 2], [4, 5, 6]]
        starts = sorted(runs, key=lambda run: sequence.index(run[0]))
        assert sequence == [row for run in starts for row in run]
        seen.add(tuple(sequence))
    assert len(seen) == 6  # all orders of three blocks


def test_block_order_of_single_samples_is_free():
    order, rng = block_order(np.arange(3)), np.random.default_rng(0)
    assert len({tuple(order(rng)) for _ in range(200)}) == 6


def test_blocks_explain_what_neighbours_share():
    """Patterns in blocks, drawn apart: free permutations call them related, permuted blocks do not."""
    rng = np.random.default_rng(2)
    block = np.repeat(np.arange(12), 25)
    first, second = rng.integers(0, 3, 12)[block], rng.integers(0, 3, 12)[block]
    free = permuted_information(first, second, free_order(300), permutations=199)
    blocks = permuted_information(first, second, block_order(block), permutations=199)
    assert free.p < 0.01
    assert blocks.p > 0.05


def test_order_within_explains_what_groups_share():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 3, 400)
    first, second = (np.where(rng.random(400) < 0.8, group, rng.integers(0, 3, 400)) for _ in range(2))
    order = order_within(group, 400)
    assert (group[order(rng)] == group).all()
    within = permuted_information(first, second, order, permutations=199)
    assert permuted_information(first, second, free_order(400), permutations=199).p < 0.01
    assert within.p > 0.05
    assert within.mean == pytest.approx(mutual_information(first, second).nats, rel=0.25)


def test_refusals(labels):
    with pytest.raises(InputError, match="permutations: expected at least 1; got 0"):
        permuted_information(*labels, free_order(150), permutations=0)
    with pytest.raises(InputError, match="group: expected 5 rows"):
        order_within([0, 1], 5)
