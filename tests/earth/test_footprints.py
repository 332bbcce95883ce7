"""Neighbouring footprints, against every pair compared by itself in a projection made for it."""

from __future__ import annotations

import itertools

import numpy as np
import pyproj
import pytest
import shapely

from geomoe.coords import wrap_lon
from geomoe.earth.footprints import Footprints, components, neighbours, touching, within_km

NOWHERE = np.full((4, 2), np.nan)


def square(lon, lat, km):
    """Corners of a square in the plane that touches the Earth at its middle."""
    plane = pyproj.Proj(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +R=6371008.8")
    half = km * 500
    return np.array(
        [plane(x, y, inverse=True) for x, y in ((-half, half), (half, half), (half, -half), (-half, -half))]
    )


def chessboard(crs, x, y, side, rows=3, columns=4):
    """Adjacent chips in a CRS, row by row."""
    to = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    corners = []
    for row, column in itertools.product(range(rows), range(columns)):
        left, top = x + column * side, y - row * side
        box = [(left, top), (left + side, top), (left + side, top - side), (left, top - side)]
        corners.append([to.transform(*corner) for corner in box])
    corners = np.array(corners)
    corners[..., 0] = wrap_lon(corners[..., 0])
    return corners


def footprints(corners):
    vectors = np.array(corners)
    middle = np.array([_middle(one) for one in vectors])
    return Footprints(vectors, middle)


def _middle(corners):
    radians = np.radians(corners)
    xyz = np.stack(
        [
            np.cos(radians[:, 1]) * np.cos(radians[:, 0]),
            np.cos(radians[:, 1]) * np.sin(radians[:, 0]),
            np.sin(radians[:, 1]),
        ]
    ).mean(axis=1)
    return np.degrees([np.arctan2(xyz[1], xyz[0]), np.arcsin(xyz[2] / np.linalg.norm(xyz))])


@pytest.mark.parametrize(
    ("crs", "x", "y", "side"),
    [
        ("EPSG:32633", 5e5, 5.5e6, 640.0),
        ("EPSG:4326", 179.8, 10.1, 0.1),  # across the antimeridian
        ("EPSG:3413", -1000.0, 1000.0, 640.0),  # over the pole
        ("EPSG:3857", 1e6, 9e6, 20_000.0),
    ],
)
def test_chips_of_a_scene_touch_their_eight_neighbours_and_no_other(crs, x, y, side):
    found = {tuple(pair) for pair in touching(footprints(chessboard(crs, x, y, side))).tolist()}
    cells = list(itertools.product(range(3), range(4)))
    expected = {
        (i, j)
        for (i, a), (j, b) in itertools.combinations(enumerate(cells), 2)
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1
    }
    assert found == expected


def test_many_of_all_sizes_against_every_pair():
    rng = np.random.default_rng(1)
    corners = [
        square(10 + rng.normal() * 0.3, 50 + rng.normal() * 0.2, km) for km in rng.choice([0.3, 2, 15], 150)
    ]
    places = footprints(corners)
    found = {tuple(pair) for pair in touching(places).tolist()}
    plane = pyproj.Proj("+proj=aeqd +lat_0=50 +lon_0=10 +R=6371008.8")
    shapes = [shapely.Polygon([plane(*corner) for corner in one]) for one in corners]
    for i, j in itertools.combinations(range(len(shapes)), 2):
        apart = shapes[i].distance(shapes[j])
        if apart == 0:
            assert (i, j) in found
        if apart > 300:
            assert (i, j) not in found
    assert len(found) > 100


def test_places_alone_touch_at_one_place_and_unknown_ones_never():
    lonlat = np.array([[10.0, 50.0], [10.0, 50.0], [10.001, 50.0], [np.nan, np.nan], [np.nan, np.nan]])
    places = Footprints(np.stack([NOWHERE] * 5), lonlat)
    assert touching(places).tolist() == [[0, 1]]
    inside = Footprints(np.stack([square(10, 50, 5.0), *[NOWHERE] * 4]), lonlat)
    assert touching(inside).tolist() == [[0, 1], [0, 2]]
    assert touching(places.take(np.zeros(5, bool))).shape == (0, 2)


def test_within_a_distance_is_rather_too_many():
    others = footprints([square(10, 50, 1.0)])
    away = np.array([1.5, 2.0, 3.0, 3.3, 4.0])  # km between middles; the gaps are 1 less
    lat = 50 + np.degrees(away / 6371.0088)
    places = footprints([square(10, one, 1.0) for one in lat])
    assert within_km(places, others, 2.0).tolist() == [True, True, True, True, False]
    assert within_km(places, others, 0.4).tolist() == [True, False, False, False, False]
    nowhere = Footprints(NOWHERE[None], np.full((1, 2), np.nan))
    assert within_km(nowhere, others, 1e6).tolist() == [False]
    assert within_km(places, nowhere, 1e6).tolist() == [False] * 5


def test_components():
    pairs = np.array([[5, 2], [2, 1], [3, 4]])
    assert components(7, pairs).tolist() == [0, 1, 1, 3, 3, 1, 6]
    assert components(0, np.empty((0, 2), int)).tolist() == []


def test_neighbours_of_many_images_with_few_outlines():
    rng = np.random.default_rng(0)
    single = chessboard("EPSG:32633", 5e5, 5.5e6, 640.0)
    rows = rng.integers(0, 12, 60)
    corners = np.concatenate([single[rows], [NOWHERE, NOWHERE]])
    lonlat = np.concatenate([footprints(single).lonlat[rows], np.full((2, 2), np.nan)])
    places = Footprints(corners, lonlat)
    found = neighbours(places)
    pairs = touching(places)
    linked = np.zeros((62, 62), bool)
    linked[pairs[:, 0], pairs[:, 1]] = linked[pairs[:, 1], pairs[:, 0]] = True
    for _ in range(5):
        chosen = rng.random(62) < 0.1
        np.testing.assert_array_equal(found.beside(chosen), chosen | linked[:, chosen].any(axis=1))
    np.testing.assert_array_equal(components(62, found.links()), components(62, pairs))
    nothing = neighbours(places.take(np.zeros(62, bool)))
    assert nothing.beside(np.zeros(0, bool)).shape == (0,)
