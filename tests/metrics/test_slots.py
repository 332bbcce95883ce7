"""Slots, responsibilities and their comparison equal literal loops; all renumberings are tried out."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.stats import energy_distance as scipy_energy
from scipy.stats import pearsonr

from geomoe.errors import InputError
from geomoe.metrics.slots import (
    energy_distance,
    match_experts,
    permuted_correlation,
    responsibility_correlation,
    selected_slots,
    slot_overlap,
    slots_of,
)

DOMAINS, CLASSES, EXPERTS = 4, 3, 4


def masses(seed):
    """Routing masses (K, C, E); two cells have no samples."""
    rho = np.random.default_rng(seed).dirichlet(np.ones(EXPERTS), (DOMAINS, CLASSES))
    rho[1, 2] = rho[3, 0] = np.nan
    return rho


def responsibilities(rho, alpha=4.0):
    """(m, i, j, c) -> a, by the definition."""
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    return {
        (m, i, j, c): sigmoid(alpha * rho[i, c, m]) * sigmoid(alpha * rho[j, c, m])
        for m in range(EXPERTS)
        for i, j in combinations(range(DOMAINS), 2)
        for c in range(CLASSES)
        if not math.isnan(rho[i, c, m]) and not math.isnan(rho[j, c, m])
    }


def test_slots_are_the_literal_loop():
    rho = masses(0)
    found, expected = slots_of(rho), responsibilities(rho)
    assert found.responsibility.size == len(expected)
    for at, key in enumerate(zip(found.first, found.second, found.label, strict=True)):
        for m in range(EXPERTS):
            assert found.responsibility[m, at] == pytest.approx(expected[m, *map(int, key)], abs=1e-14)


def test_correlation_is_pearsons():
    a, b = (slots_of(masses(seed)).responsibility for seed in (1, 2))
    assert responsibility_correlation(a, b) == pytest.approx(pearsonr(a.ravel(), b.ravel()).statistic)
    assert responsibility_correlation(a, a) == pytest.approx(1)
    assert math.isnan(responsibility_correlation(a, np.full_like(a, 0.4)))
    assert math.isnan(responsibility_correlation(np.zeros((3, 0)), np.zeros((3, 0))))


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4), (5, 6)])
def test_extremes_and_mean_over_all_renumberings(seeds):
    a, b = (slots_of(masses(seed)).responsibility for seed in seeds)
    every = {
        order: pearsonr(a.ravel(), b[list(order)].ravel()).statistic for order in permutations(range(EXPERTS))
    }
    found = permuted_correlation(a, b)
    assert found.best == pytest.approx(max(every.values()))
    assert found.worst == pytest.approx(min(every.values()))
    assert found.mean == pytest.approx(np.mean(list(every.values())))
    assert tuple(match_experts(a @ b.T)) == max(every, key=every.get)


@pytest.mark.parametrize("experts", [2, 3, 6])
def test_collapsed_routers_have_the_correlation_of_the_paper(experts):
    """Table 19 has r = -0.20 on all data sets: one expert each, and not the same, of six."""
    rho = np.zeros((3, 7, experts))
    other = rho.copy()
    rho[:, :, 0] = other[:, :, 1] = 1
    a, b = slots_of(rho).responsibility, slots_of(other).responsibility
    assert responsibility_correlation(a, b) == pytest.approx(-1 / (experts - 1))
    assert responsibility_correlation(a, a) == pytest.approx(1)
    assert permuted_correlation(a, b).best == pytest.approx(1)
    assert permuted_correlation(a, b).mean == pytest.approx(0, abs=1e-12)  # (1 - (E - 1) / (E - 1)) / E
    assert slot_overlap(selected_slots(a), selected_slots(b)) == 0
    assert slot_overlap(selected_slots(a), selected_slots(b[match_experts(a @ b.T)])) == 1


def test_constant_responsibilities_have_no_permuted_correlation():
    a = np.full((3, 4), 0.4)
    assert all(math.isnan(value) for value in permuted_correlation(a, a))


def test_selected_slots_are_the_largest_with_ties():
    a = np.array([[0.9, 0.1, 0.5, 0.5], [0.2, 0.5, 0.3, 0.4]])
    assert np.argwhere(selected_slots(a, 10)).tolist() == [[0, 0]]  # at least one
    assert np.argwhere(selected_slots(a, 25)).tolist() == [[0, 0], [0, 2], [0, 3], [1, 1]]  # 2, and the ties
    assert selected_slots(a, 100).all()
    assert selected_slots(np.zeros((2, 0))).shape == (2, 0)
    rng = np.random.default_rng(0)
    b = rng.random((5, 40))
    chosen = selected_slots(b, 10)
    assert set(b[chosen]) == set(sorted(b.ravel())[-20:])


def test_overlap_is_that_of_sets():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 4, 30)) < 0.3
    sets = [set(map(tuple, np.argwhere(side).tolist())) for side in (a, b)]
    assert slot_overlap(a, b) == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    assert math.isnan(slot_overlap(np.zeros((2, 2), dtype=bool), np.zeros((2, 2), dtype=bool)))


def test_energy_distance_is_the_literal_loop_and_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)), rng.normal(1, 2, size=(14, 3))

    def mean(a, b):
        return sum(math.dist(p, q) for p in a for q in b) / (len(a) * len(b))

    assert energy_distance(x, y) == pytest.approx(2 * mean(x, y) - mean(x, x) - mean(y, y))
    assert energy_distance(x, x) == 0
    assert energy_distance(x[:1], y[:1]) == pytest.approx(2 * math.dist(x[0], y[0]))
    line = scipy_energy(x[:, 0], y[:, 0]) ** 2
    assert energy_distance(x[:, :1], y[:, :1]) == pytest.approx(line)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: slots_of(np.ones((2, 2))), "prototypes: expected 3 axes"),
        (lambda: slots_of(np.ones((2, 2, 2)), math.inf), "alpha: expected a finite number; got inf"),
        (
            lambda: responsibility_correlation(np.ones((2, 3)), np.ones((2, 4))),
            "slots: expected two arrays of one",
        ),
        (lambda: selected_slots(np.ones((2, 3)), 0), "percent: expected above 0 and at most 100; got 0"),
        (lambda: selected_slots(np.ones((2, 3)), 101), "percent: expected above 0 and at most 100; got 101"),
        (lambda: match_experts(np.ones((2, 3))), "gain: expected a square matrix"),
        (lambda: match_experts([[np.nan]]), "gain: expected a square matrix of finite numbers"),
        (lambda: energy_distance(np.ones((2, 3)), np.ones((2, 4))), "features: expected"),
        (lambda: energy_distance(np.ones((0, 3)), np.ones((2, 3))), "features: expected"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InputError, match="^" + said):
        call()
