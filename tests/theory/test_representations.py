"""Information, enumeration and the linear program, against independent computations."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from tools.theory.information import conditional_information, equal_laws, information, pairs, penalty
from tools.theory.representations import (
    best_invariant,
    channel_of,
    channels,
    constraints,
    extreme_rays,
    partitions,
)
from tools.theory.worlds import random_worlds, world

BELL = {1: 1, 2: 2, 3: 5, 4: 15, 5: 52}


def h(p):
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def entropy(masses):
    return -sum(float(m) * math.log2(float(m)) for m in masses if m)


def loop_information(one, groups, domains):
    """I(Z; D | Y) over some domains as H(Z, Y) + H(D, Y) - H(Z, D, Y) - H(Y), with dicts and plain loops."""
    total = sum(one.weights[d] for d in domains)
    zdy, zy, dy, y_ = {}, {}, {}, {}
    for d, (x, z), y in itertools.product(domains, enumerate(groups), range(2)):
        mass = one.laws[d, x, y] * one.weights[d] / total
        for table, key in ((zdy, (z, d, y)), (zy, (z, y)), (dy, (d, y)), (y_, y)):
            table[key] = table.get(key, 0) + mass
    return entropy(zy.values()) + entropy(dy.values()) - entropy(zdy.values()) - entropy(y_.values())


def test_information_in_closed_form():
    assert information([[0.45, 0.05], [0.05, 0.45]]) == pytest.approx(1 - h(0.1), abs=1e-14)
    assert information([[3, 1], [6, 2]]) == pytest.approx(0, abs=1e-15)
    # C a coin; A = B where C is 0, independent where C is 1
    table = np.array([[[2, 0], [1, 1]], [[0, 2], [1, 1]]])
    assert conditional_information(table) == pytest.approx(0.5, abs=1e-14)


def test_the_term_of_a_pair_is_that_of_plain_loops():
    for one in random_worlds(6, 3, 4, seed=11):
        for groups in partitions(4):
            for i, j in pairs(range(3)):
                found = penalty(one, channel_of(groups), i, j)
                assert found == pytest.approx(loop_information(one, groups, (i, j)), abs=1e-12)


@pytest.mark.parametrize("count", BELL)
def test_every_map_is_enumerated_once(count):
    found = {tuple(map(tuple, channel.T.tolist())) for channel in channels(count)}
    assert len(found) == len(channels(count)) == BELL[count]
    maps = {
        frozenset(frozenset(x for x in range(count) if labels[x] == z) for z in set(labels))
        for labels in itertools.product(range(count), repeat=count)
    }
    assert len(maps) == BELL[count]


def test_rays_are_invariant_minimal_and_those_worked_out_by_hand():
    matrix = np.array([[Fraction(2), Fraction(-1), Fraction(-1)]], dtype=object)
    half = Fraction(1, 2)
    assert sorted(map(tuple, extreme_rays(matrix))) == [(half, 0, 1), (half, 1, 0)]
    free = extreme_rays(np.zeros((0, 3), dtype=object))
    assert sorted(map(tuple, free)) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]


def test_no_invariant_channel_exceeds_the_linear_program():
    """Random invariant channels, made without rays, and every deterministic one stay below."""
    draw = np.random.default_rng(0)
    for one in random_worlds(8, 2, 4, seed=3, most=5, least=1):
        law, matrix = one.pooled([0, 1]), constraints(one.joint, [0, 1])
        best = best_invariant(law, matrix)
        assert np.allclose(best.channel.sum(axis=1), 1)
        assert penalty(one, best.channel, 0, 1) == pytest.approx(0, abs=1e-12)
        law = law.astype(float)
        assert information(best.channel.T @ law) == pytest.approx(best.bits, abs=1e-12)
        null = np.linalg.svd(matrix.astype(float))[2][np.linalg.matrix_rank(matrix.astype(float)) :]
        for _ in range(200):
            column = draw.normal(size=len(null)) @ null
            column = (column - column.min()) / max(np.ptp(column), 1e-9)  # ones are in the null space
            channel = np.stack([column, 1 - column], axis=1)
            assert penalty(one, channel, 0, 1) < 1e-9
            assert information(channel.T @ law) <= best.bits + 1e-9
        for channel in channels(4):
            if equal_laws(one.joint, channel, 0, 1):
                assert information(channel.T.astype(float) @ law) <= best.bits + 1e-9


def test_without_constraints_the_best_is_the_input_itself():
    for one in random_worlds(5, 1, 4, seed=7):
        law = one.pooled([0])
        best = best_invariant(law, constraints(one.joint, [0]))
        assert best.bits == pytest.approx(information(law), abs=1e-12)


def test_a_law_that_does_not_sum_to_one_is_refused():
    one = world([[[1, 1], [1, 1]]])
    with pytest.raises(ValueError, match="must sum to 1"):
        type(one)(one.laws * 2, one.weights)
