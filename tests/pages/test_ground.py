"""Coasts, borders, graticule and scale on figures of a part of the Earth."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import shapely
from matplotlib.figure import Figure

from geomoe.coords import great_circle_km
from geomoe.earth.borders import ground_in
from geomoe.earth.land import coastlines
from geomoe.pages.ground import (
    draw_graticule,
    draw_ground,
    nice_km,
    packed,
    page_detail,
    page_ground,
    page_region,
    shrunk,
)

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


def unpacked(text):
    """The lines again, byte by byte, as docs of ``packed`` say."""
    numbers, number, bits = [], 0, 0
    for byte in base64.b64decode(text):
        number |= (byte & 127) << bits
        bits += 7
        if byte < 128:
            numbers.append(-(number + 1) // 2 if number % 2 else number // 2)
            number = bits = 0
    lines, at = [], 0
    while at < len(numbers):
        count, steps = numbers[at], numbers[at + 1 : at + 1 + 2 * numbers[at]]
        lines.append(np.cumsum(np.array(steps).reshape(count, 2), axis=0))
        at += 1 + 2 * count
    return lines


def test_packed_lines_are_the_lines():
    rng = np.random.default_rng(0)
    lines = [rng.integers(-36000, 72000, (count, 2)) for count in (1, 2, 63, 64, 200, 9000)]
    lines.append(np.array([[0, 0], [-1, 1], [63, -64], [64, -65], [-64, 64], [8192, -8193]]))
    for found, line in zip(unpacked(packed(lines)), lines, strict=True):
        np.testing.assert_array_equal(found, line)


def test_what_a_page_of_the_earth_has_for_the_zoom_of_a_country():
    detail = page_detail(-180.0)
    assert sum(map(len, detail["regions"].values())) + len(detail["borders"]) < 350_000
    borders = shapely.MultiLineString([line * detail["cell"] for line in unpacked(detail["borders"])])
    rhine = shapely.Point(7.59, 47.56)  # Basel, where three countries meet
    assert borders.distance(rhine) < 0.05
    assert sum(len(unpacked(rings)) for rings in detail["regions"].values()) > 3000


def test_the_fine_outline_of_a_region_for_a_page():
    lines = page_region("Asia", (26.0, 38.0, 32.0, 42.0))
    drawn = shapely.MultiLineString(lines)
    assert drawn.distance(shapely.Point(26.55, 41.67)) < 0.1  # Edirne, at the land border to Europe
    assert all(round(value, 3) == value for line in lines for place in line for value in place)
