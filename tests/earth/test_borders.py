"""Fine coasts and borders against the outlines of countries, and the spacing of a graticule."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import shapely
from shapely.affinity import translate

from geomoe.earth.borders import degree_text, graticule, graticule_step, ground_in, is_part
from geomoe.earth.countries import country_outlines

GERMANY = (5.0, 46.5, 16.0, 56.0)
FIJI = (176.0, -20.0, 182.0, -15.0)
ISLE = 0.02  # degrees: how far outlines that were simplified separately may be apart


def near(box):
    """Outlines of countries in a box, on both turns of the Earth."""
    found = []
    for turn in (0, 360):
        frame = translate(shapely.box(*box), -turn).buffer(1)
        hit = [one for one in set(country_outlines().values()) if shapely.box(*one.bounds).intersects(frame)]
        parts = shapely.get_parts(np.array(hit, dtype=object))
        found += [translate(one, turn) for one in parts if one.intersects(frame)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("box", [GERMANY, FIJI, (-80.0, -57.0, -60.0, -40.0)])
def test_land_is_that_of_the_countries(box):
    """Places on land of any country are on land, but for the rims of what was simplified twice."""
    generator = np.random.default_rng(0)
    lonlat = generator.uniform((box[0], box[1]), (box[2], box[3]), (3000, 2))
    land = ground_in(box).land
    ours, theirs = shapely.contains_xy(land, *lonlat.T), np.zeros(len(lonlat), dtype=bool)
    rim = np.zeros(len(lonlat), dtype=bool)
    for country in near(box):
        theirs |= shapely.contains_xy(country, *lonlat.T)
        rim |= shapely.distance(country.boundary, shapely.points(lonlat)) < ISLE
    np.testing.assert_array_equal(ours[~rim], theirs[~rim])
    assert theirs[~rim].any()
    assert not theirs[~rim].all()


def test_coasts_are_the_edge_of_land_and_not_of_the_box():
    found = ground_in(GERMANY)
    whole = ground_in((0.0, 40.0, 25.0, 62.0)).land
    edge = whole.boundary
    shapely.prepare(edge)
    assert shapely.distance(edge, shapely.points(shapely.get_coordinates(found.coasts))).max() < 1e-6
    edge = shapely.box(*GERMANY).boundary
    assert found.coasts.intersection(edge).length == pytest.approx(0, abs=1e-9)
    fiji = ground_in(FIJI)
    seam = shapely.LineString([(180, -20), (180, -15)])
    assert fiji.land.intersects(seam)  # an island lies across the antimeridian
    assert fiji.land.intersection(seam).length > 0.2
    assert fiji.coasts.intersection(seam).length < 0.08  # of islets whose other part is smaller than a cell
    assert len(fiji.borders.geoms) == 0


def test_borders_run_between_countries():
    borders = ground_in(GERMANY).borders
    outlines = country_outlines()
    germany = outlines["DEU"].boundary
    neighbours = [outlines[code] for code in ("FRA", "POL", "CZE", "AUT", "CHE", "NLD", "BEL", "DNK", "LUX")]
    shared = germany.intersection(shapely.union_all(neighbours).buffer(0.05))
    assert shared.difference(borders.buffer(0.05)).length < 0.02 * shared.length
    every = shapely.union_all([one.boundary for one in near(GERMANY)])
    assert shapely.distance(every, shapely.points(shapely.get_coordinates(borders))).max() < 0.03


def test_fewer_positions_where_less_is_asked_for():
    fine, coarse = ground_in(GERMANY), ground_in(GERMANY, 0.1)
    for name in ("land", "coasts", "borders"):
        some, all_of_them = getattr(coarse, name), getattr(fine, name)
        assert shapely.get_num_coordinates(some) < 0.5 * shapely.get_num_coordinates(all_of_them)
    assert coarse.land.symmetric_difference(fine.land).area < 0.03 * fine.land.area
    assert coarse.borders.hausdorff_distance(fine.borders) < 0.15


def test_the_sea_alone():
    found = ground_in((-140.0, -5.0, -130.0, 5.0))
    assert all(shape.is_empty for shape in found)


def test_the_file_is_small():
    assert (files("geomoe.earth") / "assets" / "borders.npz").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("box", "step", "part"),
    [
        ((-180, -90, 180, 90), 30.0, False),
        ((0, 0, 90, 40), 10.0, True),
        ((0, 0, 91, 40), 10.0, False),
        (GERMANY, 2.0, True),
        ((6, 47, 14, 55), 2.0, True),
        ((6, 47, 10, 49), 1.0, True),
        ((13.0, 52.3, 13.8, 52.7), 0.2, True),
        ((13.0, 52.3, 13.02, 52.31), 0.01, True),
    ],
)
def test_the_graticule_fits_the_extent(box, step, part):
    assert graticule_step(box) == step
    assert is_part(box) == part
    longer = max(box[2] - box[0], box[3] - box[1])
    assert longer / step >= 4 or step == 0.01


def test_lines_of_a_graticule_and_their_names():
    assert graticule(5.0, 16.0, 2.0) == [6, 8, 10, 12, 14, 16]
    assert graticule(-0.35, 0.2, 0.1) == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2]
    assert graticule(170.0, 200.0, 10.0) == [170, 180, 190, 200]
    assert [degree_text(value, "EW") for value in (12, -0.5, 0, 180, -180, 190)] == [
        "12° E", "0.5° W", "0°", "180°", "180°", "170° W",
    ]  # fmt: skip
    assert [degree_text(value, "NS") for value in (52.5, -10, 0)] == ["52.5° N", "10° S", "0°"]
