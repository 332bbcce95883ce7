"""Paired tests, Holm's correction and ranks, against closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from geomoe.errors import InputError
from geomoe.metrics import holm, mean_ranks, paired_test


def t_density(x, nu):
    factor = math.gamma((nu + 1) / 2) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2))
    return factor * (1 + x * x / nu) ** (-(nu + 1) / 2)


@pytest.mark.parametrize("values", [[0.02, 0.05, 0.01], [-0.3, 0.1, 0.05, 0.2, 0.15], [1.0, 2.0]])
def test_t_is_the_tail_of_students_density(values):
    n, mean = len(values), sum(values) / len(values)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    statistic = abs(mean) / (sd / math.sqrt(n))
    inside, _ = integrate.quad(t_density, 0, statistic, args=(n - 1,))
    assert paired_test(values) == pytest.approx(1 - 2 * inside, abs=1e-8)


@pytest.mark.parametrize("values", [[0.02, 0.05, 0.01], [-0.3, 0.1, 0.05, 0.2, 0.15], [3, -1, 2, 4, -5, 6]])
def test_wilcoxon_counts_signs_exhaustively(values):
    order = sorted(values, key=abs)
    ranks = {v: k + 1 for k, v in enumerate(order)}
    n, total = len(values), len(values) * (len(values) + 1) // 2
    seen = min(sum(ranks[v] for v in values if v > 0), total - sum(ranks[v] for v in values if v > 0))
    sums = [
        sum(rank for rank, sign in zip(range(1, n + 1), signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=n)
    ]
    extreme = sum(min(one, total - one) <= seen for one in sums) / 2**n
    assert paired_test(values, "wilcoxon") == pytest.approx(min(extreme, 1.0))


def test_three_pairs_never_give_wilcoxon_less_than_a_quarter():
    assert paired_test([5.0, 6.0, 7.0], "wilcoxon") == pytest.approx(0.25)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1], [0.0, 0.0]])
def test_nothing_to_test(values):
    assert paired_test(values) is None


def test_bad_values_are_refused():
    with pytest.raises(InputError, match="finite"):
        paired_test([0.1, float("nan")])
    with pytest.raises(InputError, match="t or wilcoxon"):
        paired_test([0.1, 0.2], "sign")
    with pytest.raises(InputError, match="from 0 to 1"):
        holm([0.1, 1.2])
    with pytest.raises(InputError, match="from 0 to 1"):
        holm([float("nan")])
    with pytest.raises(InputError, match="as many trials"):
        mean_ranks({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(InputError, match="as many trials"):
        mean_ranks({})


def test_holm_is_step_down():
    """The definition: reject the k-th smallest while p_(k) <= a / (m - k + 1), and no more after that."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = generator.uniform(0, 0.2, size=6).round(3).tolist()
        adjusted = holm(p)
        for level in (0.01, 0.05, 0.1, 0.3):
            order, rejected = sorted(range(6), key=lambda k: p[k]), set()
            for step, k in enumerate(order):
                if p[k] > level / (6 - step):
                    break
                rejected.add(k)
            assert {k for k in range(6) if adjusted[k] <= level + 1e-12} == rejected


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_ranks_share_ties():
    found = mean_ranks({"a": [0.9, 0.5], "b": [0.9, 0.7], "c": [0.1, 0.6]})
    assert found == {"a": (1.5 + 3) / 2, "b": (1.5 + 1) / 2, "c": (3 + 2) / 2}
