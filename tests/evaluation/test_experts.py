"""The forced-expert matrix and the routing numbers equal literal loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geomoe.evaluation.experts import forced_matrices, routing_stats

REGIONS = ["Asia", "Europe", "Africa"]


def test_forced_matrix_is_the_literal_loop(predictions):
    found = forced_matrices((2, 3), predictions, ((True,) * 3,) * 2)
    assert [one.block for one in found] == [2, 3]
    for number, one in enumerate(found):
        for row in range(3):
            rows = [
                n for n in range(300)
                if max(range(3), key=lambda k: predictions["all"].weights[number, n, k]) == row
            ]  # fmt: skip
            assert one.counts[row] == len(rows) > 0
            forced = [(k, (k, "all") if number == 0 else ("all", k)) for k in range(3)]
            for column, choice in [*forced, ("routed", "all"), ("shared", "shared")]:
                hits = 0
                for n in rows:
                    scores = list(predictions[choice].logits[n])
                    hits += scores.index(max(scores)) == predictions[choice].label[n]
                value = getattr(one, column)[row] if isinstance(column, str) else one.accuracy[row][column]
                assert value == pytest.approx(hits / len(rows), abs=1e-12)


def test_forced_matrix_has_no_numbers_where_there_are_no_samples(predictions):
    predictions["all"].weights[:, :, 1] = 0
    one = forced_matrices((2, 3), predictions, ((True,) * 3,) * 2)[0]
    assert one.counts[1] == 0
    assert one.accuracy[1] == (None, None, None)
    assert one.routed[1] is None
    assert one.shared[1] is None


def test_spare_slots_are_not_forced(predictions):
    """The second slot of the first block is spare; the numbers of the others are what they were."""
    weights = predictions["all"].weights[0]
    weights[:, 0] += weights[:, 1]
    weights[:, 1] = 0
    whole = forced_matrices((2, 3), predictions, ((True,) * 3,) * 2)
    del predictions[1, "all"]
    some = forced_matrices((2, 3), predictions, ((True, False, True), (True,) * 3))
    assert [row[1] for row in some[0].accuracy] == [None] * 3
    assert [row[::2] for row in some[0].accuracy] == [row[::2] for row in whole[0].accuracy]
    assert some[1] == whole[1]
    alive = ((True, False, True), None)
    assert [one.spare for one in routing_stats((2, 3), predictions["all"], REGIONS, alive)] == [(1,), ()]


def test_routing_numbers_are_the_literal_loop(predictions):
    chosen = predictions["all"]
    chosen.weights[1, :, 0] = 0  # a dead expert
    chosen.weights[1, :, 1:] = [0.25, 0.75]
    for number, one in enumerate(routing_stats((2, 3), chosen, REGIONS)):
        rows = chosen.weights[number].astype(float).tolist()
        assert one.load == pytest.approx([sum(row[k] for row in rows) / 300 for k in range(3)])
        share = [sum(row.index(max(row)) == k for row in rows) / 300 for k in range(3)]
        assert one.top1_share == pytest.approx(share)
        entropy = sum(-w * math.log(w) for row in rows for w in row if w > 0) / 300
        assert one.entropy == pytest.approx(entropy)
        assert one.effective_experts == pytest.approx(math.exp(entropy))
        assert one.dead == ((0,) if number else ())
        for domain, region in enumerate(REGIONS):
            local = [row for row, where in zip(rows, chosen.domain, strict=True) if where == domain]
            expected = [sum(row[k] for row in local) / len(local) for k in range(3)]
            assert one.load_by_region[region] == pytest.approx(expected)
        pairs = [(row.index(max(row)), int(d)) for row, d in zip(rows, chosen.domain, strict=True) if d >= 0]
        assert one.region_information == pytest.approx(information(pairs), abs=1e-9)


def information(pairs):
    """Mutual information over the mean entropy, from the definitions."""
    share = [
        {key: sum(part(pair) == key for pair in pairs) / len(pairs) for key in {part(pair) for pair in pairs}}
        for part in (lambda pair: pair[0], lambda pair: pair[1], lambda pair: pair)
    ]
    nats = sum(p * math.log(p / share[0][a] / share[1][b]) for (a, b), p in share[2].items())
    return nats / (sum(-p * math.log(p) for side in share[:2] for p in side.values()) / 2)


def test_uniform_top_k_has_entropy_ln_k(predictions):
    chosen = predictions["all"]
    chosen.weights[:] = np.array([0.5, 0.5, 0], dtype=np.float32)
    one = routing_stats((2, 3), chosen, REGIONS)[0]
    assert one.entropy == pytest.approx(math.log(2))
    assert one.effective_experts == pytest.approx(2)
    assert one.dead == (2,)
