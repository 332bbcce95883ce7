"""Outlines and samples on maps across the antimeridian, against shapely and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import union_all
from shapely.affinity import translate
from shapely.geometry import LineString, Point, box, shape

from geomoe.coords import make_grid, wrap_lon
from geomoe.earth.land import coastlines
from geomoe.earth.outlines import left_edge, outlines, place_lon


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        ((-180, -90, 180, 90), -180),
        ((100, 0, 180, 10), -180),
        ((170, 0, -170, 10), 0),
        ((100, 0, 200, 10), -30),
        ((20, 0, 380, 10), 20),
    ],
)
def test_a_map_begins_opposite_its_middle(bounds, left):
    assert left_edge(make_grid(10, bounds)) == left


def test_nothing_moves_on_other_maps():
    assert outlines(-180.0) == coastlines()
    lon = np.array([-180.0, -0.1, 0.0, 179.9])
    np.testing.assert_array_equal(place_lon(lon, -180.0), lon)


@pytest.mark.parametrize("left", [-150.0, 0.0, 100.0])
def test_samples_stay_where_they_are_on_earth(left):
    lon = np.random.default_rng(0).uniform(-180, 180, 500)
    placed = place_lon(lon, left)
    assert ((placed >= left) & (placed < left + 360)).all()
    np.testing.assert_allclose(wrap_lon(placed), lon, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("left", [-150.0, 0.0, 100.0])
def test_the_land_of_a_map_is_all_land_once(left):
    """Inside the map: the union of the original outlines and their copies, no more and no less."""
    window = box(left, -89, left + 360, 89)
    for region, geometry in coastlines().items():
        land = shape(geometry)
        expected = union_all([land, translate(land, 360)]).intersection(window)
        pieces = shape(outlines(left)[region]).geoms
        assert sum(piece.intersection(window).area for piece in pieces) == pytest.approx(expected.area)
        assert union_all(list(pieces)).intersection(window).symmetric_difference(expected).area < 1e-6


def test_no_coast_runs_along_the_antimeridian():
    def along(shapes, lon):
        rings = [r for g in shapes.values() for polygon in g["coordinates"] for r in polygon]
        line = LineString([(lon, -89.5), (lon, 89.5)])
        return sum(LineString(ring).intersection(line).length for ring in rings)

    assert along(coastlines(), 180) > 4  # Chukotka, Wrangel, Taveuni, Antarctica
    assert along(outlines(0.0), 180) == 0


def test_fiji_lies_on_both_sides():
    oceania = shape(outlines(0.0)["Oceania"])
    assert oceania.contains(Point(178.0, -17.8))  # Viti Levu
    assert oceania.contains(Point(180.05, -16.3))  # the end of Vanua Levu
    assert not oceania.contains(Point(-179.95, -16.3))
