"""Numbers of a layer equal literal loops; each diagnostic is in the field that its name says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from geomoe.diagnose import alignment
from geomoe.diagnose.alignment import alignment_of, discrepancy_of, evenly, slot_energy, slots_of_layer
from geomoe.diagnose.figures import forced_figure
from geomoe.diagnose.layers import accuracy_by_domain, forced_of, layers_of, outputs_of, routing_of
from geomoe.diagnose.page_experts import _tables as expert_tables
from geomoe.metrics import expert_cka

DOMAINS = ("Europe", "Asia", "Americas")


def test_routing_is_the_literal_loop(samples, seen):
    weights = seen.weights[0].astype(float)
    found = routing_of(seen.weights[0], samples)
    load = [sum(row[m] for row in weights) / 240 for m in range(3)]
    assert found.load == pytest.approx(load)
    assert found.most_load == pytest.approx(max(load))
    assert found.entropy == pytest.approx(sum(-w * math.log(w) for row in weights for w in row) / 240)
    assert found.entropy_share == pytest.approx(found.entropy / math.log(3))
    assert found.load_deviation == pytest.approx(math.sqrt(sum((x - 1 / 3) ** 2 for x in load) / 3))
    assert found.most_deviation == pytest.approx(math.sqrt(2) / 3)
    assert found.top1_share == pytest.approx([np.mean(weights.argmax(axis=1) == m) for m in range(3)])
    assert found.spread == pytest.approx(max(weights[:, m].max() - weights[:, m].min() for m in range(3)))
    cells = {}
    for k, domain in enumerate(DOMAINS):
        rows = weights[samples.domain == k]
        assert found.by_domain[domain] == pytest.approx(rows.mean(axis=0))
        for c, name in enumerate(samples.classes):
            rows = weights[(samples.domain == k) & (samples.label == c)]
            assert (name in found.by_domain_class[domain]) == bool(len(rows))
            if len(rows):
                cells[k, c] = rows.mean(axis=0)
                assert found.by_domain_class[domain][name] == pytest.approx(cells[k, c])
    assert list(found.by_domain_class["Asia"]) == ["forest", "desert", "sea", "ice"]
    values = []
    for c in range(3):  # class 3 is in one domain alone
        template = sum(cells[k, c] for k in range(3)) / 3
        values += [jensenshannon(cells[k, c], template) ** 2 for k in range(3)]
    assert found.class_divergence == pytest.approx(sum(values) / 9)
    pairs = [jensenshannon(found.by_domain[a], found.by_domain[b]) ** 2 for a, b in combinations(DOMAINS, 2)]
    assert found.domain_divergence == pytest.approx(sum(pairs) / 3)
    assert found.domain_divergences[0][1] == pytest.approx(pairs[0])
    assert found.dead == ()


def test_outputs_are_the_literal_loop(seen):
    found = outputs_of(seen.outputs[1], seen.tokens[1])
    x = seen.outputs[1].astype(float)
    for m, n in combinations(range(3), 2):
        cosines = [
            x[m, i] @ x[n, i] / math.sqrt((x[m, i] @ x[m, i]) * (x[n, i] @ x[n, i])) for i in range(240)
        ]
        assert found.cosine[m][n] == pytest.approx(sum(cosines) / 240)
    off = [found.cosine[m][n] for m in range(3) for n in range(3) if m != n]
    assert found.cosine_mean == pytest.approx(sum(off) / 6)
    ranks = []
    for i in range(240):
        values = np.linalg.svd(x[:, i], compute_uv=False)
        share = values / values.sum()
        ranks.append(math.exp(-(share * np.log(share)).sum()))
    assert found.effective_rank == pytest.approx(sum(ranks) / 240)
    assert np.array(found.cka) == pytest.approx(expert_cka(seen.tokens[1]))
    assert found.cka_rows == 50
    assert outputs_of(seen.outputs[1], seen.tokens[1][:, :3]).cka_mean is None  # too few rows


def test_forced_experts_by_domain_and_by_top1(samples, seen):
    for at in range(2):
        found = forced_of(seen, at, samples)
        top1 = seen.weights[at].argmax(axis=1)
        for m in range(3):
            right = seen.forced[at, m] == samples.label
            for k, domain in enumerate(DOMAINS):
                assert found.by_domain[domain][m] == pytest.approx(right[samples.domain == k].mean())
            for row in range(3):
                assert found.by_top1[row][m] == pytest.approx(right[top1 == row].mean())
        assert found.top1_counts == tuple(np.bincount(top1, minlength=3))
        for k, domain in enumerate(DOMAINS):
            here = samples.domain == k
            assert found.routed[domain] == pytest.approx((seen.predicted == samples.label)[here].mean())
            assert found.shared[domain] == pytest.approx((seen.shared == samples.label)[here].mean())
    assert accuracy_by_domain(seen.predicted, samples) == found.routed


def test_expert_that_is_never_first_has_no_row(samples, seen):
    seen.weights[0][:] = [0.1, 0.2, 0.7]
    found = forced_of(seen, 0, samples)
    assert found.by_top1[0] == (None, None, None)
    assert found.top1_counts == (0, 0, 240)


def energy(x, y):
    def mean(a, b):
        return sum(math.dist(p, q) for p in a for q in b) / (len(a) * len(b))

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def test_slot_energy_is_the_literal_loop(samples, seen, settings):
    outputs = seen.outputs[0].astype(float)
    slots = {}
    for m in range(3):
        for i, j in combinations(range(3), 2):
            for c in range(3):
                sides = [(samples.domain == k) & (samples.label == c) for k in (i, j)]
                masses = [seen.weights[0][side, m].astype(float).mean() for side in sides]
                share = math.prod(1 / (1 + math.exp(-4 * mass)) for mass in masses)
                slots[m, i, j, c] = share, energy(*(outputs[m, side] for side in sides))
    found = alignment_of(seen.weights[0], seen.outputs[0], samples, settings)
    assert found.slots == len(slots) == 27
    assert found.responsibility == pytest.approx(np.mean([share for share, _ in slots.values()]))
    assert found.energy_all == pytest.approx(np.mean([value for _, value in slots.values()]), rel=1e-5)
    best = sorted(slots.values(), reverse=True)[:3]  # 10 % of 27
    assert found.selected == 3
    assert found.energy_selected == pytest.approx(np.mean([value for _, value in best]), rel=1e-5)


def test_unit_energies_are_those_of_unit_features(samples, seen, settings):
    unit = seen.outputs[0] / np.linalg.norm(seen.outputs[0], axis=2, keepdims=True)
    expected = alignment_of(seen.weights[0], unit, samples, settings)
    found = alignment_of(seen.weights[0], 7 * seen.outputs[0], samples, settings)
    assert found.unit_selected == pytest.approx(expected.energy_selected, rel=1e-4)
    assert found.unit_all == pytest.approx(expected.energy_all, rel=1e-4)


def test_many_slots_and_samples_are_thinned_evenly(samples, seen, settings, monkeypatch):
    slots = slots_of_layer(seen.weights[0], samples, 4.0)
    every = np.ones_like(slots.responsibility, dtype=bool)
    exact = slot_energy(seen.outputs[0], samples, slots, every)
    monkeypatch.setattr(alignment, "MOST_SLOTS", 26)
    monkeypatch.setattr(alignment, "MOST_SAMPLES", 14)
    assert slot_energy(seen.outputs[0], samples, slots, every) == pytest.approx(exact, rel=0.25)
    assert slot_energy(seen.outputs[0], samples, slots, ~every) is None
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]


def test_discrepancy_of_pooled_features(samples, seen):
    values = []
    for c in range(3):
        for i, j in combinations(range(3), 2):
            sides = [
                seen.features[(samples.domain == k) & (samples.label == c)].astype(float) for k in (i, j)
            ]
            values.append(energy(*sides))
    assert discrepancy_of(seen.features, samples) == pytest.approx(sum(values) / 9, rel=1e-5)


def test_no_class_in_two_domains_leaves_alignment_undefined(samples, seen, settings):
    lonely = samples._replace(label=np.where(samples.domain >= 0, samples.domain, 3))
    found = alignment_of(seen.weights[0], seen.outputs[0], lonely, settings)
    assert (found.slots, found.selected, found.responsibility, found.energy_all) == (0, 0, None, None)
    assert routing_of(seen.weights[0], lonely).class_divergence is None
    assert discrepancy_of(seen.features, lonely) is None


def test_each_layer_has_its_own_numbers(samples, seen, settings):
    found = layers_of(seen, samples, settings, {})
    assert [one.name for one in found] == ["block 2", "block 5"]
    for at, one in enumerate(found):
        assert one.routing == routing_of(seen.weights[at], samples)
        assert one.forced == forced_of(seen, at, samples)
        assert one.outputs == outputs_of(seen.outputs[at], seen.tokens[at])
        assert one.information == {}


def test_spare_slots_are_no_experts(samples, seen):
    """The second of three slots is spare: it is not dead, and no mean over experts has it."""
    weights = seen.weights[0].copy()
    weights[:, 0] += weights[:, 1]
    weights[:, 1] = 0
    assert routing_of(weights, samples).dead == (1,)
    found = routing_of(weights, samples, (True, False, True))
    assert (found.dead, found.spare, found.experts) == ((), (1,), (0, 2))
    two = routing_of(weights[:, [0, 2]], samples)
    for name in ("entropy", "entropy_share", "load_deviation", "most_deviation"):
        assert getattr(found, name) == pytest.approx(getattr(two, name))
    whole, some = (
        outputs_of(seen.outputs[0], seen.tokens[0], alive) for alive in (None, (True, False, True))
    )
    assert some.cosine == whole.cosine
    assert some.cosine_mean == whole.cosine[0][2]
    assert some.cka_mean == whole.cka[0][2]
    assert some.cosine_mean != whole.cosine_mean
    two = outputs_of(seen.outputs[0][[0, 2]], seen.tokens[0][[0, 2]])
    assert (two.effective_rank, two.cosine_mean) == pytest.approx((some.effective_rank, some.cosine_mean))


def test_spare_slots_are_not_forced_and_in_no_table(samples, seen, settings):
    """Beside a network that never had the second of its three slots, all numbers are equal."""
    weights = seen.weights.copy()
    weights[:, :, 0] += weights[:, :, 1]
    weights[:, :, 1] = 0
    forced = seen.forced.copy()
    forced[:, 1] = -1
    seen = replace(seen, weights=weights, forced=forced, alive=((True, False, True),) * 2)
    two = replace(
        seen,
        weights=weights[:, :, [0, 2]],
        outputs=seen.outputs[:, [0, 2]],
        tokens=tuple(one[[0, 2]] for one in seen.tokens),
        forced=forced[:, [0, 2]],
        alive=None,
    )
    for one, other in zip(*(layers_of(of, samples, settings, {}) for of in (seen, two)), strict=True):
        assert one.alignment == other.alignment
        for domain, row in one.forced.by_domain.items():
            assert row[1] is None
            assert (row[0], row[2]) == other.forced.by_domain[domain]
        assert one.forced.by_top1[1] == (None, None, None)
        assert [row[1] for row in one.forced.by_top1] == [None] * 3
        assert [(row[0], row[2]) for row in one.forced.by_top1[::2]] == list(other.forced.by_top1)
        assert one.forced.top1_counts[1] == 0
        tables = expert_tables(one, ())
        assert [table.heads[1:] for table in tables] == [("0", "2")] * 3
        assert all(len(row) == 3 for table in tables for row in table.rows)
        assert [len(table.rows) for table in tables] == [2, 2, 2]
    heads = [
        axes.get_xticklabels() for axes in forced_figure(layers_of(seen, samples, settings, {})).axes[:2]
    ]
    assert [[one.get_text() for one in labels] for labels in heads] == [["all", "SE", "0", "2"]] * 2
