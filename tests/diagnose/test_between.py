"""Two checkpoints: with renumbered experts, what a renumbering explains becomes perfect, and only that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import adjusted_rand_score

import geomoe
from geomoe.diagnose.alignment import slot_energy, slots_of_layer, unit_length
from geomoe.diagnose.between import Side, land_of, land_points, pair_of, pairs_of, routing_map
from geomoe.earth.land import earth_at
from geomoe.metrics.slots import selected_slots

ORDER = np.array([2, 0, 1])  # expert m of the second network is expert ORDER[m] of the first


def renumbered(seen):
    return replace(
        seen, weights=seen.weights[:, :, ORDER], outputs=seen.outputs[:, ORDER], forced=seen.forced[:, ORDER]
    )


@pytest.fixture
def maps():
    first = np.random.default_rng(0).integers(0, 3, (2, 50))
    return first, np.argsort(ORDER)[first]


def test_renumbered_experts_are_matched(samples, seen, settings, maps):
    pair = pair_of(Side("A", seen, maps[0]), Side("B", renumbered(seen), maps[1]), samples, settings)
    assert (pair.first, pair.second, pair.same_answers) == ("A", "B", 1)
    for at, one in enumerate(pair.layers):
        assert one.name == seen.layers[at]
        assert one.r_matched == pytest.approx(1)
        assert one.overlap_matched == 1
        assert one.partner == tuple(np.argsort(ORDER))
        for agreement in (one.samples, one.map):
            assert (agreement.matched, agreement.adjusted_rand) == (1, 1)
            assert agreement.partner == one.partner
            assert agreement.same < 0.7
        assert one.r < 0.7
        for energy in (one.on_first, one.on_second):
            assert energy.other_matched == pytest.approx(energy.own, rel=1e-6)
            assert energy.other != pytest.approx(energy.own, rel=1e-3)
        assert (one.samples.count, one.map.count) == (240, 50)


def test_numbers_of_a_pair_are_the_definitions(samples, seen, other, settings):
    pair = pair_of(Side("A", seen, None), Side("B", other, None), samples, settings)
    assert pair.same_answers == pytest.approx(np.mean(seen.predicted == other.predicted))
    for at, one in enumerate(pair.layers):
        a, b = (slots_of_layer(side.weights[at], samples, 4.0) for side in (seen, other))
        assert one.r == pytest.approx(pearsonr(a.responsibility.ravel(), b.responsibility.ravel()).statistic)
        chosen = [selected_slots(side.responsibility, 10.0) for side in (a, b)]
        assert one.overlap == pytest.approx((chosen[0] & chosen[1]).sum() / (chosen[0] | chosen[1]).sum())
        matched = chosen[1][list(one.partner)]
        assert one.overlap_matched == pytest.approx((chosen[0] & matched).sum() / (chosen[0] | matched).sum())
        assert one.r_worst - 1e-9 <= min(one.r, one.r_mean)
        assert one.r_matched + 1e-9 >= max(one.r, one.r_mean)
        raw = [side.outputs[at] for side in (seen, other)]
        units = [unit_length(outputs) for outputs in raw]
        for side, (first, second) in (("", raw), ("unit_", units)):
            on_first, on_second = (
                {"own": getattr(energy, f"{side}own"), "other": getattr(energy, f"{side}other")}
                for energy in (one.on_first, one.on_second)
            )
            assert on_first["own"] == pytest.approx(slot_energy(first, samples, a, chosen[0]))
            assert on_first["other"] == pytest.approx(slot_energy(second, samples, a, chosen[0]))
            assert on_second["own"] == pytest.approx(slot_energy(second, samples, b, chosen[1]))
            assert on_second["other"] == pytest.approx(slot_energy(first, samples, b, chosen[1]))
        back = [one.partner.index(expert) for expert in range(3)]
        expected = slot_energy(units[0][back], samples, b, chosen[1])
        assert one.on_second.unit_other_matched == pytest.approx(expected)
        expected = slot_energy(raw[1][list(one.partner)], samples, a, chosen[0])
        assert one.on_first.other_matched == pytest.approx(expected)
        assert one.samples.adjusted_rand == pytest.approx(adjusted_rand_score(seen.top1[at], other.top1[at]))
        assert one.map is None


def test_constant_routing_has_no_correlation(samples, seen, settings):
    flat = replace(seen, weights=np.full_like(seen.weights, 1 / 3))
    pair = pair_of(Side("A", flat, None), Side("B", seen, None), samples, settings)
    assert [(one.r, one.r_matched, one.r_mean) for one in pair.layers] == [(None, None, None)] * 2


def with_spare(seen, alive):
    """The same network with slots that hold no expert where ``alive`` is false."""

    def spread(values, axis):
        shape = [len(alive) if at == axis else size for at, size in enumerate(values.shape)]
        found = np.full(shape, 7 if axis != 2 else 0, dtype=values.dtype)  # weights (M, N, E) are 0 there
        where = [slice(None)] * values.ndim
        where[axis] = np.flatnonzero(alive)
        found[tuple(where)] = values
        return found

    return replace(
        seen,
        weights=spread(seen.weights, 2),
        outputs=spread(seen.outputs, 1),
        forced=spread(seen.forced, 1),
        alive=(alive,) * len(seen.layers),
    )


def test_slots_that_are_spare_in_both_change_no_number(samples, seen, other, settings):
    alive = (False, True, True, False, True)
    sides = [Side(name, with_spare(one, alive), None) for name, one in (("A", seen), ("B", other))]
    found = pair_of(*sides, samples, settings)
    want = pair_of(Side("A", seen, None), Side("B", other, None), samples, settings)
    slots = np.flatnonzero(alive)
    for one, plain in zip(found.layers, want.layers, strict=True):
        assert (one.spare, one.experts, plain.spare, plain.experts) == ((0, 3), 3, (), 3)
        assert [one.partner[slot] for slot in slots] == slots[list(plain.partner)].tolist()
        for name in ("r", "r_matched", "r_mean", "r_worst", "overlap", "overlap_matched"):
            assert getattr(one, name) == pytest.approx(getattr(plain, name)), name
        assert (one.on_first, one.on_second) == (plain.on_first, plain.on_second)
        assert one.samples.matched == pytest.approx(plain.samples.matched)
        assert one.samples.adjusted_rand == pytest.approx(plain.samples.adjusted_rand)


def test_a_slot_that_is_spare_in_one_is_an_expert_of_the_pair(samples, seen, other, settings):
    sides = [
        Side("A", with_spare(seen, (True, True, True, False)), None),
        Side("B", with_spare(other, (True, True, False, True)), None),
    ]
    assert [one.experts for one in pair_of(*sides, samples, settings).layers] == [4, 4]


def test_all_pairs(samples, seen, settings):
    sides = [Side(name, seen, None) for name in "ABC"]
    found = [(pair.first, pair.second) for pair in pairs_of(sides, samples, settings)]
    assert found == [("A", "B"), ("A", "C"), ("B", "C")]


def test_points_of_the_map_are_on_land():
    points = land_points()
    assert (earth_at(points).region > 0).all()
    assert len(points) / 20_000 == pytest.approx(0.29, abs=0.01)  # the land's share of the Earth


def test_map_is_what_the_routers_answer(checkpoints):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    found, points = routing_map(predictor), land_points()
    assert found.shape == (2, len(points))
    some = np.random.default_rng(0).integers(0, len(points), 40)
    image = np.zeros((40, 3, 32, 32), dtype=np.float32)
    answer = predictor.predict(image, points[some])
    for block, routing in enumerate(answer.routings):
        assert found[block, some].tolist() == routing.weights.argmax(dim=1).tolist()


def test_map_in_a_report_has_a_character_for_each_point(seen, maps):
    land = land_of(Side("A", seen, 11 * maps[0]))
    assert list(land) == ["block 2", "block 5"]
    assert [int(letter, 36) for letter in land["block 5"]] == (11 * maps[0][1]).tolist()
    assert land_of(Side("A", seen, None)) == land_of(Side("A", seen, 40 + maps[0])) == {}


@pytest.mark.parametrize("name", ["erm", "erm_le", "messi"])
def test_routers_that_read_no_places_have_no_map(checkpoints, name):
    assert routing_map(geomoe.load(checkpoints[name], device="cpu")) is None
