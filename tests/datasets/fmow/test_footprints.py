"""Footprints are drawn across the antimeridian corner by corner, averaged badly, and had back."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.datasets.fmow.footprints import DOUBTFUL, FINE, MENDED, mend

CODES = ("CAN", "FJI", "RUS", "USA")


def ring(lon, lat, turn, width, height):
    """Corners (5, 2) of a turned rectangle, longitudes in [-180, 180), the first corner again at the end."""
    corners = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)]) * (width / 2, height / 2)
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lons = lon + corners[:, 0]
    return np.stack([np.mod(lons + 180, 360) - 180, lat + corners[:, 1]], axis=1)


def apart(a, b):
    """Degrees between longitudes, the short way round."""
    return np.abs(np.mod(a - b + 180, 360) - 180)


def test_any_rectangle_in_fiji_is_had_back_exactly():
    rng = np.random.default_rng(0)
    centre = np.stack([rng.uniform(179.9, 180.1, 500), rng.uniform(-19, -15, 500)], axis=1)
    rings = [ring(lon, lat, rng.uniform(0, 6.3), 0.2, 0.1) for lon, lat in centre]
    true = np.array([np.unwrap(np.radians(one[:, 0])).mean() for one in rings])  # corners on one side
    naive = np.array([one.mean(axis=0) for one in rings])
    crossing = np.array([np.ptp(one[:, 0]) > 180 for one in rings])
    assert 100 < crossing.sum() < 450
    assert apart(naive[crossing, 0], centre[crossing, 0]).min() > 70  # what the plain mean does
    places, state = mend(naive, np.full(500, CODES.index("FJI")), CODES)
    assert np.array_equal(state == MENDED, crossing)
    assert apart(places[:, 0], np.degrees(true)).max() < 1e-9
    assert np.array_equal(places[~crossing], naive[~crossing])
    assert np.array_equal(places[:, 1], naive[:, 1])
    assert (places[:, 0] >= -180).all()
    assert (places[:, 0] < 180).all()


@pytest.mark.parametrize(
    ("code", "lon", "lat", "state"),
    [
        ("FJI", 36.0, -17.0, MENDED),
        ("FJI", -107.6, -17.0, MENDED),
        ("FJI", 36.6, -17.0, FINE),  # no mean of corners near 180
        ("FJI", 36.0, -27.0, FINE),  # not where Fiji crosses it
        ("RUS", -36.0, 68.0, MENDED),  # no land of Russia there
        ("RUS", 36.0, 68.0, DOUBTFUL),  # the Kola peninsula
        ("RUS", 108.1, 70.0, DOUBTFUL),  # Taimyr
        ("RUS", 36.0, 55.0, FINE),  # near Moscow
        ("USA", 36.0, 52.0, MENDED),  # Aleutians
        ("USA", -108.0, 45.0, FINE),  # Montana
        ("CAN", 36.0, 52.0, FINE),  # a wrong place, and not for this reason
        ("FJI", np.nan, np.nan, FINE),
    ],
)
def test_when_a_row_is_suspected(code, lon, lat, state):
    lonlat = np.array([[lon, lat]])
    places, found = mend(lonlat, np.array([CODES.index(code)]), CODES)
    assert found.tolist() == [state]
    if state != MENDED:
        assert np.array_equal(places, lonlat, equal_nan=True)
    else:
        assert apart(places[0, 0], 180) <= 0.5


def test_rings_of_other_sizes_and_the_input_is_left_alone():
    lons = np.array([179.9, 179.9, 179.9, -179.95, -179.9, -179.9, -179.9])  # seven corners
    lonlat = np.array([[lons.mean(), -17.0]])
    before = lonlat.copy()
    places, state = mend(lonlat, np.array([1]), CODES, corners=7)
    assert state.tolist() == [MENDED]
    assert apart(places[0, 0], np.mod(lons, 360).mean()) < 1e-9
    assert np.array_equal(lonlat, before)
