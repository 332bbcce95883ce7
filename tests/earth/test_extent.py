"""How far places spread, against every pair compared and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.coords import HALF_TURN_KM, great_circle_km, half_wave_km, unit_vectors
from geomoe.earth.extent import extent_km

GERMANY = (5.9, 47.3, 15.0, 55.0)


def spread(box, count, seed=0):
    generator = np.random.default_rng(seed)
    west, south, east, north = box
    lonlat = np.stack([generator.uniform(west, east, count), generator.uniform(south, north, count)], axis=1)
    return np.stack([(lonlat[:, 0] + 180) % 360 - 180, lonlat[:, 1]], axis=1)


def widest_pair(lonlat):
    """By the law of cosines, in arc tangents so that short distances keep their digits."""
    places = unit_vectors(lonlat)
    cosine = places @ places.T
    sine = np.linalg.norm(np.cross(places[:, None], places[None]), axis=2)
    return np.arctan2(sine, cosine).max() * HALF_TURN_KM / np.pi


@pytest.mark.parametrize(
    "box",
    [
        GERMANY,
        (13.0, 52.3, 13.8, 52.7),  # a city
        (176.0, -19.0, 184.0, -15.0),  # across the antimeridian
        (-180.0, 86.0, 180.0, 90.0),  # around the pole
        (-10.0, 36.0, 40.0, 70.0),
    ],
)
def test_it_is_the_widest_of_all_pairs(box):
    places = spread(box, 99)  # of fewer than 100 places none is left out
    assert extent_km(places) == pytest.approx(widest_pair(places), rel=1e-9)


def test_turning_the_earth_changes_nothing():
    places = spread(GERMANY, 80)
    turned = places + np.array([170, 0])
    turned[:, 0] = (turned[:, 0] + 180) % 360 - 180
    assert extent_km(turned) == pytest.approx(extent_km(places), rel=1e-9)


def test_one_wrong_place_in_a_hundred_is_left_out():
    places = spread(GERMANY, 199)
    wrong = np.concatenate([places, [(0.0, 0.0)]])
    assert extent_km(wrong) == pytest.approx(widest_pair(places), rel=0.05)
    assert widest_pair(wrong) > 5000
    two = np.concatenate([places[:99], [(0.0, 0.0), (0.0, 0.0)]])  # of 101 places only one is left out
    assert extent_km(two) > 5000


def test_wide_data_is_right_within_its_cells():
    places = spread((-180.0, -60.0, 180.0, 75.0), 600)
    assert extent_km(places) == pytest.approx(widest_pair(places), abs=630)
    assert extent_km(np.array([(0.0, 0.0), (180.0, 0.0)])) == pytest.approx(HALF_TURN_KM)  # no middle
    assert extent_km(np.array([(-60.0, 0.0), (60.0, 0.0)])) == pytest.approx(HALF_TURN_KM * 120 / 180)


def test_few_and_unknown_places():
    assert extent_km(np.empty((0, 2))) is None
    assert extent_km(np.full((3, 2), np.nan)) is None
    assert extent_km(np.array([(10.0, 50.0), (np.nan, np.nan), (10.0, 50.0)])) == pytest.approx(0, abs=1e-9)
    line = np.array([(10.0, 50.0), (11.0, 50.0), (10.5, 50.0)])
    assert extent_km(line) == pytest.approx(great_circle_km(line[:1], line[1:2])[0], rel=1e-9)


def test_half_waves():
    assert half_wave_km(1) == pytest.approx(20015.1, abs=0.1)
    assert half_wave_km(9) == pytest.approx(20015.1 / 9, rel=1e-5)
    assert half_wave_km(0) == np.inf
