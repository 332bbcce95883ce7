"""Coasts, borders, graticule and scale on figures of a part of the Earth."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from matplotlib.figure import Figure

from geomoe.coords import great_circle_km
from geomoe.earth.borders import ground_in
from geomoe.earth.land import coastlines
from geomoe.pages.ground import draw_graticule, draw_ground, nice_km, page_ground, shrunk

GERMANY = (5.0, 46.5, 16.0, 56.0)


@pytest.mark.parametrize("box", [GERMANY, (6, 49, 8, 50), (-70, -30, -40, 10), (0, 78, 9, 80)])
def test_the_bar_is_as_long_as_it_says(box):
    axes = Figure().subplots()
    axes.set(xlim=box[::2], ylim=box[1::2])
    draw_ground(axes, box)
    (left, right), km = axes.lines[0].get_xdata(), nice_km(box)
    middle = (box[1] + box[3]) / 2
    on_earth = great_circle_km(np.array([(left, middle)]), np.array([(right, middle)]))[0]
    assert on_earth == pytest.approx(km, rel=0.01)
    assert [text.get_text() for text in axes.texts] == [f"{km:g} km"]
    assert f"{km:.0e}"[0] in "125"
    assert 0.09 < (right - left) / (box[2] - box[0]) <= 0.25
    assert axes.get_aspect() == pytest.approx(1 / np.cos(np.radians(middle)), rel=1e-6)
    assert shrunk(box) == pytest.approx(np.cos(np.radians(middle)))


def test_borders_and_degrees_are_drawn():
    axes = Figure().subplots()
    axes.set(xlim=GERMANY[::2], ylim=GERMANY[1::2])
    draw_ground(axes, GERMANY)
    draw_graticule(axes, GERMANY)
    coasts, borders = axes.collections
    found = ground_in(GERMANY, 11 / 1000)
    for drawn, lines in ((coasts, found.coasts), (borders, found.borders)):
        assert sum(len(one) for one in drawn.get_segments()) == shapely.get_num_coordinates(lines)
    assert [text.get_text() for text in axes.get_xticklabels()] == [f"{lon}° E" for lon in range(6, 17, 2)]
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"{lat}° N" for lat in range(48, 57, 2)]


def test_land_elsewhere_is_that_of_the_whole_earth():
    ground = page_ground(GERMANY, everywhere=True)
    polygons = [shapely.Polygon(rings[0], rings[1:]).buffer(0) for rings in ground["land"]]
    places = np.random.default_rng(0).uniform((-175, -60), (175, 75), (2000, 2))
    away = (np.abs(places - np.array([10.5, 51.25])) > np.array([14, 13])).any(axis=1)
    whole = shapely.union_all(
        [shapely.make_valid(shapely.geometry.shape(one)) for one in coastlines().values()]
    )
    ours, theirs = np.zeros(len(places), dtype=bool), shapely.contains_xy(whole, *places.T)
    for polygon in polygons:
        ours |= shapely.contains_xy(polygon, *places.T)
    assert (ours != theirs)[away].mean() < 0.003  # rounded to a hundredth of a degree
    assert theirs[away].any()


def test_wide_maps_have_none():
    assert page_ground((-100.0, 0.0, 0.0, 50.0)) is None
