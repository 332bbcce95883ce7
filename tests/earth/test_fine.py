"""Fine land and borders of the whole Earth, and the fine outline of a region."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from geomoe.earth import fine
from geomoe.earth.borders import ground_in
from geomoe.earth.fine import CELL, DETAIL, region_in, region_lines, whole_earth
from geomoe.earth.land import coastlines

BOSPORUS = (26.0, 38.0, 44.0, 46.0)  # Europe and Asia
PAPUA = (138.0, -8.0, 144.0, -3.0)  # Asia and Oceania, divided by a straight border


@pytest.mark.parametrize(
    ("box", "names"),
    [(BOSPORUS, ("Asia", "Europe")), (PAPUA, ("Asia", "Oceania")), ((30, 28, 36, 32), ("Africa", "Asia"))],
)
def test_regions_divide_the_fine_land_as_the_coarse_ones_do(box, names):
    land, parts = ground_in(box).land, [region_in(name, box) for name in names]
    assert shapely.area(shapely.union_all(parts)) == pytest.approx(land.area, rel=1e-3)
    assert sum(part.area for part in parts) == pytest.approx(land.area, rel=1e-3)
    for name, part in zip(names, parts, strict=True):
        coarse = shapely.intersection(shape(coastlines()[name]), shapely.box(*box))
        overlap = shapely.area(shapely.intersection(part, coarse))
        assert overlap / shapely.area(shapely.union(part, coarse)) > 0.9


def test_the_outline_runs_along_coasts_and_the_border_to_the_other_region_and_not_along_the_box():
    lines = region_lines("Oceania", PAPUA, 0.005)
    border = shapely.intersection(shapely.buffer(lines, 0.03), shapely.LineString([(141, -6), (141, -4)]))
    assert border.length == pytest.approx(2, abs=0.05)  # the 141st meridian, but for the bend of the Fly
    assert shapely.get_coordinates(lines)[:, 0].max() < PAPUA[2]
    assert lines.length > 5
    assert region_lines("Africa", PAPUA, 0.005).is_empty
    assert region_lines("Asia", (-40, 20, -30, 30), 0.005).is_empty  # the sea


@pytest.mark.long
@pytest.mark.slow
def test_in_a_wide_box_the_outline_is_that_of_the_whole_earth(monkeypatch):
    box = (-10.0, 35.0, 30.0, 60.0)
    near = region_lines("Europe", box, 0.02)
    monkeypatch.setattr(fine, "WIDE", 10.0)
    wide = region_lines("Europe", box, 0.02)
    points = shapely.points(shapely.get_coordinates(wide))
    away = shapely.distance(points, near)
    assert len(points) > 1000
    assert np.median(away) < DETAIL
    assert np.quantile(away, 0.99) < 0.1  # islands that are too small for one of both are further away
    assert region_lines("Oceania", box, 0.02).is_empty


def test_a_region_beyond_the_antimeridian():
    east = region_in("Oceania", (176, -20, 184, -14))
    assert east.bounds[0] > 176
    assert east.bounds[2] > 180  # Fiji is on both sides
    assert east.area == pytest.approx(region_in("Oceania", (-184, -20, -176, -14)).area)


def coasts_of(regions, box):
    """Parts of the rings of one region alone, as the script of a page finds them, in and near a box."""
    west, south, east, north = np.array(box) / CELL + np.array([-100, -100, 100, 100])
    owners = {}
    for name, rings in regions.items():
        for ring in rings:
            near = ((ring > (west, south)) & (ring < (east, north))).all(axis=1)
            for k in np.flatnonzero(near[:-1] & near[1:]):
                part = ring[k : k + 2].tolist()
                owners.setdefault(tuple(sorted(map(tuple, part))), set()).add(name)
    return [np.array(part) for part, names in owners.items() if len(names) == 1]


@pytest.mark.parametrize("left", [-180.0, 20.0])
def test_the_land_of_the_whole_earth_is_the_fine_land_to_the_stated_detail(left):
    regions, borders = whole_earth(left)
    rings = [ring for one in regions.values() for ring in one]
    box = (20.0, 30.0, 40.0, 45.0)
    for lines, exact in ((coasts_of(regions, box), ground_in(box).coasts), (borders, ground_in(box).borders)):
        near = shapely.buffer(exact, 1.5 * (DETAIL + CELL))
        drawn = [shapely.LineString(line * CELL) for line in lines if len(line) > 1]
        inside = shapely.union_all(shapely.intersection(drawn, shapely.box(20.1, 30.1, 39.9, 44.9)))
        assert shapely.difference(inside, near).length < 0.002 * inside.length
        assert inside.length > 0.8 * exact.length
    lon = np.concatenate(rings)[:, 0] * CELL
    assert lon.max() > left + 350
    assert lon.min() < left + 10
    along = [np.abs(np.diff(line[line[:, 0] == 18000, 1])).sum() * CELL for line in rings]
    assert (sum(along) < 0.5) == (left == 20)  # land that the antimeridian cuts is joined


@pytest.mark.slow
def test_the_regions_of_the_whole_earth_are_those_of_a_box():
    box = shapely.box(*BOSPORUS)
    for name in ("Asia", "Europe"):
        rings = [shapely.Polygon(ring * CELL) for ring in whole_earth(-180.0)[0][name] if len(ring) > 3]
        # shapely's union turns holes the other way
        outer = [one.buffer(0) for one in rings if not one.exterior.is_ccw]
        holes = [one.buffer(0) for one in rings if one.exterior.is_ccw]
        land = shapely.difference(shapely.union_all(outer), shapely.union_all(holes))
        exact, found = region_in(name, BOSPORUS), shapely.intersection(land, box)
        assert shapely.area(shapely.symmetric_difference(exact, found)) < 0.03 * exact.area
