"""Each statement of MESSI's section 3: where it holds, and the counterexamples, with values by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tools.theory import growth, invariance, subsets
from tools.theory.information import (
    ZERO,
    conditional_information,
    equal_laws,
    information,
    label_information,
    penalty,
    seen,
)
from tools.theory.representations import channel_of, channels
from tools.theory.worlds import by_label, world

SAME = channel_of([0, 1])  # Z = X


def h(p):
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def test_proposition_31_holds_under_a_fixed_distribution_and_not_otherwise():
    fixed, pooled, averaged = (growth.compare(reading, worlds=12) for reading in growth.READINGS)
    assert fixed.compared == 12 * 15 * 2
    assert fixed.rises == 0
    assert fixed.most <= ZERO
    assert pooled.rises > 0
    assert averaged.rises > 0


@pytest.mark.parametrize("rate", [0.01, 1, 100, 1e6])
def test_proposition_31_fails_at_any_lambda_with_the_data_of_k(rate):
    one = growth.label_shift()
    assert penalty(one, SAME, 0, 1) == 0
    for reading, before, after in (
        ("pooled", h(0.1), h(0.3)),
        ("averaged", h(0.1), (h(0.1) + 1) / 2),
        ("fixed", h(0.3), h(0.3)),
    ):
        assert growth.optimum(one, [0], rate, reading) == pytest.approx(before, abs=1e-12)
        assert growth.optimum(one, [0, 1], rate, reading) == pytest.approx(after, abs=1e-12)


def test_proposition_31_fails_with_balanced_labels_below_a_lambda():
    one = growth.useless_first()
    edge = (1 - h(0.25)) / (h(0.25) - 0.5)
    assert growth.breaking_rate(one, SAME) == pytest.approx(edge, abs=1e-12)
    for rate, rises in ((0.99 * edge, True), (1.01 * edge, False)):
        assert (growth.optimum(one, [0, 1], rate, "pooled") > ZERO) is rises
        assert growth.optimum(one, [0], rate, "pooled") == pytest.approx(0, abs=1e-12)


def test_the_optimum_of_the_chain_falls_when_fixed_and_rises_again_when_pooled():
    found = growth.growing((10.0,))
    assert (np.diff(found["fixed", 10.0]) <= ZERO).all()
    assert (np.diff(found["pooled", 10.0]) > 0.01).any()
    assert (np.diff(found["averaged", 10.0]) > 0.01).any()


@pytest.mark.slow
def test_proposition_32_needs_every_label_in_both_domains():
    full = invariance.proposition_32(worlds=20, least=1)
    assert full.wrong == full.undefined == 0
    assert full.both > 10
    some = invariance.proposition_32()
    assert some.wrong == 0
    assert some.undefined > 0
    lonely = invariance.missing_label()
    assert all(penalty(lonely, channel, 0, 1) < ZERO for channel in channels(4))
    assert {equal_laws(lonely.joint, channel, 0, 1) for channel in channels(4)} == {None}


def test_theorem_33_holds_for_all_pairs_and_not_for_a_chain():
    found = invariance.theorem_33(worlds=80)
    assert found[True, False] == 0
    assert found[False, True] == 0
    assert found[True, True] > 3
    one = invariance.broken_chain()
    assert penalty(one, SAME, 0, 1) == pytest.approx(0, abs=ZERO)
    assert penalty(one, SAME, 1, 2) == pytest.approx(0, abs=ZERO)
    # label 1 has mass 2/3 in domains 1 and 3, where P(Z = 0 | 1) is 3/4 and 1/4
    assert penalty(one, SAME, 0, 2) == pytest.approx(2 / 3 * (1 - h(0.25)), abs=1e-12)
    assert conditional_information(seen(one.joint, SAME)) == pytest.approx(4 / 9 * (1 - h(0.25)), abs=1e-12)


@pytest.mark.slow
def test_what_the_figures_of_33_and_36_show():
    """Zero bits where the laws agree, and nowhere else; a chain of pairs misses some."""
    found = invariance.chains(worlds=30)
    assert all((every == 0) == (whole == 0) for every, _, whole in found)
    assert any(chain == 0 < whole for _, chain, whole in found)
    term, whole = 2 / 3 * (1 - h(0.25)), 4 / 9 * (1 - h(0.25))
    assert (round(term, 3), 0.0, round(whole, 3)) in found  # the broken chain
    points = invariance.subset_points(worlds=2)
    assert all((apart == 0) == (bits == 0) for apart, bits, _ in points)
    assert {lacking for *_, lacking in points} == {True, False}
    assert len(points) > 20


@pytest.mark.parametrize(("bits", "want"), [(0.0, 0.0), (1e-15, 0.0), (1e-6, 0.001), (0.1234, 0.123)])
def test_only_zero_is_rounded_to_zero(bits, want):
    assert invariance.rounded(bits) == want


def test_theorem_34_with_the_data_of_k():
    """An exactly invariant optimum for both sets, and pooled I(Z; Y) rises all the same."""
    one = growth.label_shift()
    for rate in (0.1, 10.0):
        for domains in ([0], [0, 1]):
            value = growth.value(one, SAME, domains, rate, "pooled")
            assert value == growth.optimum(one, domains, rate, "pooled")
    assert label_information(one.pooled([0, 1]), SAME) > label_information(one.pooled([0]), SAME) + 0.4


def test_theorem_34_deterministic_optima_are_invariant_above_a_lambda():
    one = growth.mixing()
    law, edge = one.pooled([0, 1]), growth.settled_rate(growth.mixing())
    for rate, free in ((0.99 * edge, False), (1.01 * edge, True)):
        values = [growth.value(one, channel, [0, 1], rate, "fixed") for channel in channels(3)]
        best = channels(3)[int(np.argmax(values))]
        assert (penalty(one, best, 0, 1) < ZERO) is free
    assert label_information(law, channels(3)[0]) == 0


def test_theorem_34_no_stochastic_optimum_is_invariant_at_any_lambda():
    """I(Z; Y) has a slope at the best invariant channel, and the term has none: it grows with the square."""
    one = growth.mixing()
    levels = growth.invariant(one)
    assert levels.deterministic == 0
    start = np.array([0.5, 1.0, 0.0])  # 2 q0 = q1 + q2
    law = one.pooled([0, 1])

    def at(step):
        column = start + np.array([step, 0, 0])
        channel = np.stack([column, 1 - column], axis=1)
        return label_information(law, channel), penalty(one, channel, 0, 1)

    assert at(0.0) == pytest.approx((levels.stochastic, 0), abs=1e-12)
    slope = (at(1e-4)[0] - at(-1e-4)[0]) / 2e-4
    assert abs(slope) > 0.04
    assert at(1e-3)[1] / 1e-6 == pytest.approx(at(1e-2)[1] / 1e-4, rel=0.05)
    for rate in (1, 30, 1000):
        assert growth.above(one, rate)[1] > levels.stochastic + 1e-3 / rate


@pytest.mark.slow
def test_lemma_36_needs_every_label_in_each_domain_of_the_subset():
    found = invariance.lemma_36(worlds=4)
    assert found.wrong == 0
    assert found.both > 0
    assert found.neither > 0
    assert found.undefined > found.both


def test_corollary_37_whole_cells_are_enough_when_the_domain_decides():
    found = invariance.corollary_37(by_domain=True, worlds=20)
    assert found.only_cells == found.only_subset == 0
    assert found.both > 0
    assert invariance.corollary_37(by_domain=False, worlds=10).only_subset > 0


def test_corollary_37_whole_cells_are_not_enough_when_the_image_decides():
    one, channel = invariance.coins()
    assert equal_laws(one.joint, channel, 0, 1) is True
    assert invariance.routed_coins(0) == pytest.approx(0, abs=ZERO)
    # given S = 1, A is 1 with 2/3 (mass 3/4) and 10/11 (mass 11/20) in the two domains
    share = Fraction(3, 4) / (Fraction(3, 4) + Fraction(11, 20))
    mixed = float(share * Fraction(2, 3) + (1 - share) * Fraction(10, 11))
    by_hand = h(mixed) - float(share) * h(2 / 3) - float(1 - share) * h(10 / 11)
    assert invariance.routed_coins(1) == pytest.approx(by_hand, abs=1e-12)
    assert invariance.misled_routers() == (15, 6)


def test_theorem_38_in_the_papers_example_is_due_to_s():
    found = subsets.levels(subsets.two_subsets())
    assert found.given == pytest.approx(1, abs=1e-12)
    assert found.everything == pytest.approx(0.5, abs=1e-12)
    assert found.invariant == pytest.approx(0.5, abs=1e-12)
    assert found.routed == pytest.approx(1 - h(0.25), abs=1e-12)
    one = subsets.two_subsets()  # Z = X1 + X2, written down: inputs in the order (x1, x2, w)
    total = channel_of([0, 0, 1, 1, 1, 1, 2, 2])
    assert all(equal_laws(one.joint, total, i, j) for i in range(4) for j in range(i))
    assert label_information(one.pooled(range(4)), total) == pytest.approx(0.5, abs=1e-12)


def test_theorem_38_a_hint_makes_the_routed_feature_invariant_only_if_subsets_predict_alike():
    route = channel_of([x[1] if x[2] else x[0] for x in subsets._inputs()])
    alike, unlike = subsets.two_subsets(1), subsets.two_subsets(1, "4/5")
    assert equal_laws(alike.joint, route, 0, 2) is True
    assert equal_laws(unlike.joint, route, 0, 2) is False
    assert subsets.levels(alike) == pytest.approx((1, 1, 1, 1), abs=1e-12)
    found = subsets.levels(unlike)
    assert found.everything == pytest.approx(1 - h(0.2) / 2, abs=1e-12)
    assert found.given == pytest.approx(found.everything, abs=1e-12)
    assert found.invariant < found.everything - 0.3


def test_theorem_38_data_processing():
    for second in (1, "4/5"):
        for _, found in subsets.hinted(second, steps=4):
            assert max(found.routed, found.invariant) <= found.everything + 1e-12
            assert found.everything <= found.given + 1e-12


def test_theorem_38_the_premise_does_not_give_the_conclusion():
    one = subsets.same_concept()
    posterior = [law[:, 1] / law.sum(axis=1) for law in one.laws]
    assert (posterior[0] == posterior[1]).all()  # the premise, in fractions
    assert subsets.within(one, [0, 1]) == pytest.approx(0, abs=1e-12)
    assert information(one.pooled([0, 1])) > 0.3


def test_worlds_are_read_exactly():
    one = world([by_label(["9/10", "1/10"], [[1, 0], ["1/3", "2/3"]])])
    assert one.laws[0, 1, 1] == Fraction(2, 30)
