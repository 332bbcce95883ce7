"""The nearest place on the sphere, against every distance by brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.checking.leakage import different_places
from geomoe.coords import great_circle_km
from geomoe.earth import nearest as module
from geomoe.earth.nearest import NearestPlace, nearest_km, neighbour_km


def brute(points, others):
    return np.array([great_circle_km(np.broadcast_to(one, others.shape), others).min() for one in points])


def everywhere(generator, count):
    lat = np.degrees(np.arcsin(generator.uniform(-1, 1, count)))
    return np.stack([generator.uniform(-180, 180, count), lat], axis=1)


def clustered(generator, count):
    sites = everywhere(generator, 12)[generator.integers(0, 12, count)]
    return np.clip(sites + generator.normal(0, 0.01, (count, 2)), [-180, -90], [180, 90])


def about_the_antimeridian(generator, count):
    side = generator.choice([-1, 1], count)
    return np.stack(
        [side * (180 - generator.exponential(0.5, count)), generator.uniform(-5, 5, count)], axis=1
    )


def about_the_poles(generator, count):
    side = generator.choice([-1, 1], count)
    lat = side * (90 - generator.exponential(0.2, count))
    return np.stack([generator.uniform(-180, 180, count), lat], axis=1)


def in_europe(generator, count):
    return np.stack([generator.uniform(0, 20, count), generator.uniform(40, 60, count)], axis=1)


PATTERNS = (everywhere, clustered, about_the_antimeridian, about_the_poles, in_europe)


@pytest.mark.parametrize("of", PATTERNS)
@pytest.mark.parametrize("to", PATTERNS)
def test_against_every_distance(of, to):
    generator = np.random.default_rng(PATTERNS.index(of) * 10 + PATTERNS.index(to))
    points, others = of(generator, 500), to(generator, 1500)
    np.testing.assert_allclose(nearest_km(points, others), brute(points, others), rtol=1e-12, atol=1e-9)


def test_rows_are_those_of_the_places_given_and_ranks_are_in_order_of_distance():
    generator = np.random.default_rng(1)
    points, others = everywhere(generator, 60), everywhere(generator, 200)
    points[3], others[[0, 7, 90]] = np.nan, np.nan  # unknown places are no neighbours, and keep their rows
    every = np.array([great_circle_km(np.broadcast_to(one, others.shape), others) for one in points])
    order = np.argsort(np.where(np.isnan(every), np.inf, every), axis=1)
    known = np.arange(60) != 3
    for rank in (1, 2, 5):
        found = NearestPlace(others).rows(points, rank)
        np.testing.assert_array_equal(found[known], order[known, rank - 1])
        assert found[3] == -1
    assert NearestPlace(others[:1]).rows(points).tolist() == [-1] * 60


@pytest.mark.parametrize("of", PATTERNS)
def test_the_nearest_other_place(of):
    places = of(np.random.default_rng(PATTERNS.index(of)), 300)
    every = np.array([great_circle_km(np.broadcast_to(one, places.shape), places) for one in places])
    np.fill_diagonal(every, np.inf)
    np.testing.assert_allclose(neighbour_km(places), every.min(axis=1), rtol=1e-12, atol=1e-9)


def test_places_that_are_the_same_and_centimetres_apart():
    generator = np.random.default_rng(0)
    others = np.repeat(everywhere(generator, 5), 200, axis=0)  # far more alike than fit into a ball
    shift = np.array([[0, 0], [0, 1e-7], [1e-7, 0], [0, 1e-9]])
    points = np.concatenate([others[::200] + one for one in shift])
    km = nearest_km(points, others)
    assert (km[:5] == 0).all()
    np.testing.assert_allclose(km, brute(points, others), rtol=1e-6, atol=1e-15)
    assert km[5:10] == pytest.approx(1e-7 * 111.195, rel=1e-4)  # a centimetre


def test_the_pole_is_one_place_and_the_antimeridian_no_border():
    others = np.array([[10.0, 90.0], [-179.95, 0.0], [0.0, -60.0]])
    points = np.array([[-120.0, 90.0], [179.95, 0.0], [180.0, 0.0], [0.0, -90.0]])
    assert nearest_km(points, others) == pytest.approx(np.array([0, 0.1, 0.05, 30]) * 111.195, abs=0.01)


def test_one_and_none():
    assert nearest_km(np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]])) == pytest.approx([111.195], abs=1e-3)
    assert nearest_km(np.empty((0, 2)), np.array([[0.0, 1.0]])).shape == (0,)


def test_unknown_places_have_no_distance_and_are_nobodys_nearest():
    unknown = [np.nan, np.nan]
    others = np.array([unknown, [0.0, 1.0], unknown, [0.0, 50.0]])
    places = NearestPlace(others)
    points = np.array([[0.0, 0.0], unknown, [0.0, 51.0]])
    assert len(places) == 2
    assert places.km(points) == pytest.approx(np.array([111.195, np.nan, 111.195]), abs=1e-3, nan_ok=True)
    nothing = NearestPlace(others[[0, 2]])
    assert len(nothing) == 0
    assert np.isnan(nothing.km(points)).all()


def test_blocks_of_points_are_the_same_as_all_at_once(monkeypatch):
    generator = np.random.default_rng(3)
    points, others = everywhere(generator, 100), everywhere(generator, 200)
    points[::7] = np.nan
    whole = nearest_km(points, others)
    monkeypatch.setattr(module, "_BLOCK", 8)
    np.testing.assert_array_equal(nearest_km(points, others), whole)


def test_of_equally_near_places_any_and_the_distance_is_that_of_all():
    ring = np.array([[lon, 0.0] for lon in (-180.0, -90.0, 0.0, 90.0)])
    km = nearest_km(np.array([[12.0, 90.0], [45.0, 0.0], [-135.0, 0.0]]), ring)
    assert km == pytest.approx(np.array([90, 45, 45]) * 111.19508, rel=1e-6)


def test_different_places():
    lonlat = np.array([[3.0, 4.0], [-0.0, 1.0], [3.0, 4.0], [3.0, -4.0], [0.0, 1.0], [3.0, 4.0]])
    places, which = different_places(lonlat)
    rows, of_rows = np.unique(lonlat, axis=0, return_inverse=True)
    np.testing.assert_array_equal(places, rows)
    np.testing.assert_array_equal(which, of_rows.ravel())
    np.testing.assert_array_equal(places[which], lonlat)
    assert different_places(np.empty((0, 2)))[0].shape == (0, 2)


def test_the_nearest_place_itself():
    generator = np.random.default_rng(7)
    points, others = everywhere(generator, 80), everywhere(generator, 200)
    points[3], others[5] = np.nan, np.nan
    found = NearestPlace(others).of(points)
    for point, place in zip(points, found, strict=True):
        if np.isnan(point).any():
            assert np.isnan(place).all()
            continue
        distance = [great_circle_km(point[None], other[None])[0] for other in others]
        assert place.tolist() == others[np.nanargmin(distance)].tolist()
    assert np.isnan(NearestPlace(np.zeros((0, 2))).of(points)).all()
