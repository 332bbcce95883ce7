"""What is where on Earth: well-known places."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import Point, shape

from geomoe.coords import make_grid
from geomoe.earth.land import coastlines, earth_at, earth_on

PLACES = {
    (77.2, 28.6): "Asia", (2.3, 48.9): "Europe", (36.8, -1.3): "Africa", (-60.0, -3.1): "Americas",
    (133.9, -23.7): "Oceania", (0.5, -85.0): "Antarctica", (-30.0, 30.0): "Sea", (-150.0, 0.0): "Sea",
}  # fmt: skip


@pytest.mark.parametrize(("place", "region"), PLACES.items())
def test_regions_of_well_known_places(place, region):
    lon, lat = place
    earth = earth_on(make_grid(0.5, (np.floor(lon), np.floor(lat), np.floor(lon) + 1, np.floor(lat) + 1)))
    assert region in {earth.regions[number] for number in earth.region.ravel()}


def test_land_is_29_percent_of_the_earth():
    grid = make_grid(0.5)
    assert grid.areas()[earth_on(grid).land].sum() == pytest.approx(0.29, abs=0.01)


def test_the_sahara_is_barren_and_greenland_is_ice():
    for box, cover in (((5, 22, 15, 28), "Barren"), ((-45, 70, -35, 76), "Snow and ice")):
        earth = earth_on(make_grid(0.5, box))
        assert (earth.landcover == earth.covers.index(cover)).mean() > 0.95


@pytest.mark.parametrize("step", [0.25, 1.0, 2.0])
def test_other_steps_look_up_the_cell_that_holds_the_centre(step):
    fine, other = earth_on(make_grid(0.5)), make_grid(step)
    earth = earth_on(other)
    for row, column in np.random.default_rng(0).integers(0, 90, (50, 2)):
        at = int((90 - other.lat[row]) / 0.5), int((other.lon[column] + 180) / 0.5)
        assert earth.region[row, column] == fine.region[at]
        assert earth.landcover[row, column] == fine.landcover[at]


def test_places_have_the_cell_that_holds_them():
    grid = make_grid(0.5)
    whole = earth_on(grid)
    lonlat = np.concatenate(
        [np.random.default_rng(1).uniform([-180, -90], [180, 90], (300, 2)), [[-180, 90], [179.9999, -90]]]
    )
    found = earth_at(lonlat)
    for at, (lon, lat) in enumerate(lonlat):
        row, column = np.abs(grid.lat - lat).argmin(), np.abs(grid.lon - lon).argmin()
        assert found.region[at] == whole.region[row, column]
        assert found.landcover[at] == whole.landcover[row, column]
    for (lon, lat), region in PLACES.items():
        near = earth_at(np.array([[lon, lat]]) + np.mgrid[-1:2, -1:2].reshape(2, -1).T / 2)
        assert region in {near.regions[number] for number in near.region}


def test_coastlines_hold_the_places_of_their_regions():
    outlines = {name: shape(geometry) for name, geometry in coastlines().items()}
    for place, region in PLACES.items():
        inside = {name for name, outline in outlines.items() if outline.buffer(0).contains(Point(place))}
        assert inside == ({region} - {"Sea"})
