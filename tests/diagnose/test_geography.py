"""Other places are what their names say, and what they change is counted literally."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import geomoe
from geomoe.coords import great_circle_km
from geomoe.diagnose.geography import Moves, changes_of, moves_for, other_places
from geomoe.earth.land import earth_at
from geomoe.types import Place

TRAINED = {"places": {"lon": [0.0, 90.0, -70.0], "lat": [45.0, 40.0, -20.0]}}


@pytest.fixture
def places(samples):
    return other_places(samples, TRAINED, (2.0, 500.0), "region", seed=5).places


def ordered(lonlat):
    return sorted(map(tuple, lonlat[~np.isnan(lonlat[:, 0])].tolist()))


def test_names_in_order(places):
    assert list(places) == [
        "shuffled",
        "shuffled within its region",
        "dropped",
        "jittered by 2 km",
        "jittered by 500 km",
        "on another continent",
        "nearest training place",
    ]


def test_unknown_places_stay_unknown_and_known_ones_known(samples, places):
    for name, lonlat in places.items():
        expected = np.zeros(240, dtype=bool) if name == "dropped" else samples.placed
        assert (~np.isnan(lonlat[:, 0]) == expected).all()


def test_shuffled_places_are_those_of_other_samples(samples, places):
    assert ordered(places["shuffled"]) == ordered(samples.lonlat)
    moved = (places["shuffled"] != samples.lonlat).any(axis=1)[samples.placed]
    assert moved.mean() > 0.95
    within = places["shuffled within its region"]
    for one in range(-1, 3):
        rows = samples.domain == one
        assert ordered(within[rows]) == ordered(samples.lonlat[rows])
        assert ordered(places["shuffled"][rows]) != ordered(samples.lonlat[rows])


def test_jitter_has_the_distance(samples, places):
    for km in (2.0, 500.0):
        distance = great_circle_km(samples.lonlat, places[f"jittered by {km:g} km"])[samples.placed]
        assert distance == pytest.approx(np.full(len(distance), km), rel=1e-6)


def test_another_continent_is_another_one_and_never_the_sea(samples, places):
    rows = samples.placed
    moved = places["on another continent"][rows]
    before, after = earth_at(samples.lonlat[rows]).region, earth_at(moved).region
    assert (before != after).all()
    assert (after > 0).all()
    known = set(ordered(samples.lonlat))
    assert all(place in known for place in map(tuple, moved.tolist()))
    assert (before == 0).any()  # samples at sea move, too


def test_nearest_training_place(samples, places):
    trained = np.array([TRAINED["places"]["lon"], TRAINED["places"]["lat"]]).T
    for here, moved in zip(samples.lonlat, places["nearest training place"], strict=True):
        if not np.isnan(here[0]):
            km = [great_circle_km(here[None], one[None])[0] for one in trained]
            assert moved.tolist() == trained[np.argmin(km)].tolist()


def test_the_seed_decides(samples, places):
    again = other_places(samples, TRAINED, (2.0, 500.0), "region", seed=5).places
    other = other_places(samples, TRAINED, (2.0, 500.0), "region", seed=6).places
    assert all(np.array_equal(again[name], places[name], equal_nan=True) for name in places)
    assert not np.array_equal(other["shuffled"], places["shuffled"], equal_nan=True)


def test_what_cannot_be_done_is_said(samples):
    lonlat = np.where(np.isnan(samples.lonlat), np.nan, [10.0, 50.0])
    found = other_places(samples._replace(lonlat=lonlat), {}, (), "region", seed=0)
    assert list(found.places) == ["shuffled", "shuffled within its region", "dropped"]
    assert found.left_out == (
        "geography: all samples lie on one continent, so there is no other one to move to",
        "geography: the checkpoint does not have its training places",
    )


def test_changes_are_counted_literally(samples, seen):
    shuffled = other_places(samples, {}, (), "region", seed=0).places
    moves = Moves({name: shuffled[name] for name in ("shuffled", "dropped")}, ())
    rows = [n for n in range(240) if samples.placed[n]]
    for one in changes_of(seen, samples, moves):
        answer = seen.moved[one.what]
        right = [seen.predicted[n] == samples.label[n] for n in rows]
        now = [answer.predicted[n] == samples.label[n] for n in rows]
        assert one.samples == len(rows) < 240
        assert one.accuracy == pytest.approx(sum(now) / len(rows))
        assert one.loss == pytest.approx((sum(right) - sum(now)) / len(rows))
        assert one.changed == pytest.approx(
            sum(answer.predicted[n] != seen.predicted[n] for n in rows) / len(rows)
        )
        for layer in range(2):
            top1 = seen.weights[layer].argmax(axis=1)
            moved = sum(answer.top1[layer, n] != top1[n] for n in rows) / len(rows)
            assert one.rerouted[layer] == pytest.approx(moved)
        low, high = one.loss_interval
        assert low < one.loss < high
        if one.what == "dropped":
            assert one.distance_km is None
        else:
            km = great_circle_km(samples.lonlat[rows], shuffled[one.what][rows])
            assert one.distance_km == pytest.approx(np.median(km))


def test_one_block_has_no_interval(samples, seen):
    lumped = samples._replace(block=np.zeros(240, dtype=np.int64))
    moves = other_places(samples, {}, (), "region", seed=0)
    kept = Moves({name: moves.places[name] for name in ("shuffled", "dropped")}, ())
    assert [one.loss_interval for one in changes_of(seen, lumped, kept)] == [None, None]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("erm", "the network has no location encoder, so places change no answer"),
        ("messi", "the network has no location encoder, so places change no answer"),
        ("domain", "its location encoder reads region ids, not places"),
    ],
)
def test_networks_that_read_no_places(checkpoints, write, tmp_path, samples, name, said):
    file = checkpoints.get(name) or write(tmp_path / "domain.ckpt", encoder="domain")
    found = moves_for(geomoe.load(file, device="cpu"), samples, (1.0,), "region", 0)
    assert found == Moves({}, (f"geography: {said}",))


def test_samples_that_a_network_describes_by_their_domain(checkpoints, samples):
    predictor, place = geomoe.load(checkpoints["erm_le"], device="cpu"), Place.unknown(240)
    assert moves_for(predictor, samples, (1.0,), "region", 0, place).places
    predictor.model.asks_place = lambda place: torch.zeros(len(place.domain), dtype=torch.bool)
    said = "geography: all samples are of training regions, by which alone the network describes them"
    assert moves_for(predictor, samples, (1.0,), "region", 0, place) == Moves({}, (said,))


def test_samples_without_places(checkpoints, samples):
    nowhere = samples._replace(lonlat=np.full((240, 2), np.nan))
    found = moves_for(geomoe.load(checkpoints["moge"], device="cpu"), nowhere, (1.0,), "region", 0)
    assert found == Moves({}, ("geography: fewer than two samples have a known place",))
