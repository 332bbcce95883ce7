"""Moved places have the distance and the bearing asked for; even points are even."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.coords import great_circle_km, unit_vectors
from geomoe.earth.moves import even_points, move_km


@pytest.mark.parametrize("km", [0.5, 10.0, 1000.0, 15_000.0])
def test_distance_is_that_of_the_great_circle(km):
    rng = np.random.default_rng(0)
    lonlat = np.stack([rng.uniform(-180, 180, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))], axis=1)
    lonlat[:3] = [[0, 90], [0, -90], [179.999, 10]]
    lonlat[5] = np.nan
    moved = move_km(lonlat, km, rng.uniform(0, 2 * np.pi, 200))
    distance = great_circle_km(lonlat, moved)
    assert np.delete(distance, 5) == pytest.approx(np.full(199, km), rel=1e-6)
    assert np.isnan(moved[5]).all()
    assert ((np.delete(moved, 5, 0)[:, 0] >= -180) & (np.delete(moved, 5, 0)[:, 0] < 180)).all()


def test_bearings():
    quarter = 6371.0088 * np.pi / 2
    here = np.array([[10.0, 0.0]] * 4)
    found = move_km(here, quarter / 90, np.radians([0, 90, 180, 270]))
    assert found == pytest.approx(np.array([[10, 1], [11, 0], [10, -1], [9, 0]]), abs=1e-9)
    assert move_km(here[:1], quarter, np.zeros(1))[0, 1] == pytest.approx(90)
    across = move_km(np.array([[179.5, 0.0]]), quarter / 90, np.array([np.pi / 2]))
    assert across == pytest.approx(np.array([[-179.5, 0]]), abs=1e-9)


def test_even_points_stand_for_equal_areas():
    points = even_points(20_000)
    assert points.shape == (20_000, 2)
    assert (points >= [-180, -90]).all()
    assert (points < [180, 90]).all()
    for south, north in ((-90, -30), (-30, 10), (60, 90)):
        area = (np.sin(np.radians(north)) - np.sin(np.radians(south))) / 2
        share = ((points[:, 1] >= south) & (points[:, 1] < north)).mean()
        assert share == pytest.approx(area, abs=1e-3)
    quarter = (points[:, 0] >= 0) & (points[:, 0] < 90)
    assert quarter.mean() == pytest.approx(0.25, abs=1e-3)
    assert np.abs(unit_vectors(points).mean(axis=0)).max() < 1e-3
