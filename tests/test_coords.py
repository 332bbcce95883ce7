"""The door: every place is checked once, and degrees are handled nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from geomoe.coords import (
    check_lonlat,
    continuous,
    great_circle_km,
    make_grid,
    mean_place,
    unit_vectors,
    whole_cells,
    wrap_lon,
)
from geomoe.errors import CoordinateError, GeomoeError

NAN = math.nan


def test_known_and_unknown_places():
    given = np.array([[10.5, 45.25], [NAN, NAN], [-180.0, -90.0], [180.0, 90.0]])
    before = given.copy()
    lonlat, has_location = check_lonlat(given)
    assert has_location.tolist() == [True, False, True, True]
    assert lonlat[0].tolist() == [10.5, 45.25]
    assert np.isnan(lonlat[1]).all()
    assert lonlat[3].tolist() == [-180.0, 90.0]
    assert lonlat.dtype == np.float64
    np.testing.assert_array_equal(given, before)  # the caller's array is not touched


def test_accepts_lists_float32_and_nothing_at_all():
    assert check_lonlat([[1, 2]]).lonlat.tolist() == [[1.0, 2.0]]
    assert check_lonlat(np.zeros((3, 2), np.float32)).lonlat.dtype == np.float64
    assert check_lonlat(np.zeros((0, 2))).has_location.shape == (0,)


@pytest.mark.parametrize(
    ("lonlat", "message"),
    [
        ([[0, 90.5]], "latitude beyond 90"),
        ([[45, 120]], "swapped"),
        ([[0, -91]], "latitude beyond 90"),
        ([[NAN, 3]], "exactly one of lon, lat is missing"),
        ([[3, NAN]], "exactly one of lon, lat is missing"),
        ([[math.inf, 3]], "infinite"),
        ([[3, -math.inf]], "infinite"),
        ([[400, 3]], "longitude beyond 360"),
        ([1, 2], r"expected shape \(N, 2\)"),
        ([[1, 2, 3]], r"expected shape \(N, 2\)"),
        ([["a", "b"]], "expected numbers"),
    ],
)
def test_refusals_say_where_and_what(lonlat, message):
    with pytest.raises(CoordinateError, match=message) as caught:
        check_lonlat(lonlat, where="points.csv")
    assert "points.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError | GeomoeError)


def test_columns_of_a_table_count_by_name_and_what_is_masked_is_unknown():
    table = pd.DataFrame({"lat": [50.0], "lon": [10.0]})
    assert check_lonlat(table).lonlat.tolist() == [[10, 50]]
    assert check_lonlat(pd.DataFrame([[10.0, 50.0]])).lonlat.tolist() == [[10, 50]]
    named = pd.DataFrame({"name": ["a"], "Latitude": [50], "LNG": [10.0]})
    assert check_lonlat(named).lonlat.tolist() == [[10, 50]]
    assert check_lonlat(pa.table({"lat": [50.0], "lon": [10.0]})).lonlat.tolist() == [[10, 50]]
    missing = pd.DataFrame(
        {"lon": pd.array([10.0, pd.NA], "Float64"), "lat": pd.array([50.0, pd.NA], "Float64")}
    )
    assert check_lonlat(missing.astype(object)).has_location.tolist() == [True, False]
    assert check_lonlat(missing).has_location.tolist() == [True, False]
    masked = np.ma.masked_array([[10, 50], [3, 4]], [[True, True], [False, False]])
    places = check_lonlat(masked)
    assert places.has_location.tolist() == [False, True]
    assert places.lonlat[1].tolist() == [3, 4]
    with pytest.raises(CoordinateError, match=r"columns lon and lat; got y, x"):
        check_lonlat(pd.DataFrame({"y": [50.0], "x": [10.0]}))
    levels = pd.DataFrame([[50.0, 10.0]], columns=pd.MultiIndex.from_tuples([("lat", "deg"), ("lon", "deg")]))
    with pytest.raises(CoordinateError, match="columns lon and lat"):
        check_lonlat(levels)
    truth = pd.DataFrame({"lon": [10.0], "lat": [True]})
    times = np.array([["2020-01-01", "2020-01-02"]], "datetime64[D]")
    for wrong in ([[True, False]], [[10 + 1j, 50]], np.array([[True, 5]], object), truth, times):
        with pytest.raises(CoordinateError, match="expected numbers in an"):
            check_lonlat(wrong)


def test_the_refusal_names_the_row():
    with pytest.raises(CoordinateError, match=r"row 2 has lon=5, lat=95 \(1 such rows\)"):
        check_lonlat([[0, 0], [NAN, NAN], [5, 95]])


def test_wrap_lon_keeps_the_place():
    lon = np.array([-540.0, -180.0, -180.0 - 1e-14, -1e-20, 0.0, 179.999, 180.0, 190.0, 359.0, 720.5])
    wrapped = wrap_lon(lon)
    assert ((wrapped >= -180) & (wrapped < 180)).all()
    np.testing.assert_allclose(np.cos(np.radians(wrapped)), np.cos(np.radians(lon)), atol=1e-12)
    np.testing.assert_allclose(np.sin(np.radians(wrapped)), np.sin(np.radians(lon)), atol=1e-12)
    assert wrap_lon(0.1) == 0.1  # no digit is lost where nothing is to do


def test_unit_vectors_against_the_axes():
    places = [[0, 0], [90, 0], [0, 90], [180, 0], [77, -90]]
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, 0, -1]]
    np.testing.assert_allclose(unit_vectors(places), expected, atol=1e-15)


def test_great_circle_against_the_angle_between_unit_vectors():
    rng = np.random.default_rng(0)
    a = np.stack([rng.uniform(-180, 180, 200), rng.uniform(-90, 90, 200)], axis=1)
    b = np.stack([rng.uniform(-180, 180, 200), rng.uniform(-90, 90, 200)], axis=1)
    u, v = unit_vectors(a), unit_vectors(b)
    angle = np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(axis=1))
    np.testing.assert_allclose(great_circle_km(a, b), 6371.0088 * angle, rtol=1e-9)
    quarter = great_circle_km([[0, 0]], [[0, 90]])[0]
    assert quarter == pytest.approx(6371.0088 * math.pi / 2)
    assert great_circle_km([[179.5, 0]], [[-179.5, 0]])[0] == pytest.approx(6371.0088 * math.pi / 180)


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0, 2.0, 7.5])
def test_grid_covers_the_earth_once(step):
    grid = make_grid(step)
    assert grid.shape == (round(180 / step), round(360 / step))
    assert grid.lat[0] == 90 - step / 2
    assert grid.lon[0] == -180 + step / 2
    assert grid.areas().sum() == pytest.approx(1.0, abs=1e-12)
    lonlat = grid.lonlat()
    assert lonlat.shape == (grid.shape[0] * grid.shape[1], 2)
    assert lonlat[1].tolist() == [grid.lon[1], grid.lat[0]]  # row-major, longitude fastest


def test_grid_area_of_a_band_is_its_share_of_the_sphere():
    grid = make_grid(1.0, (-10, 30, 20, 60))
    expected = (math.sin(math.radians(60)) - math.sin(math.radians(30))) / 2 * 30 / 360
    assert grid.areas().sum() == pytest.approx(expected)


@pytest.mark.parametrize("step", [0.1, 0.25, 0.5, 2.0, 7.5, 1 / 3])
@pytest.mark.parametrize(
    "bounds",
    [
        (5.9, 45.8, 10.5, 47.8),
        (-179.99, -89.99, 179.99, 89.99),
        (166.4, -47.3, 178.6, -34.37),
        (-1, -1, 1, 0.3),
    ],
)
def test_a_box_grows_to_whole_cells_of_the_earth(step, bounds):
    grown = np.array(whole_cells(step, bounds))
    outwards = (grown - bounds) * [-1, -1, 1, 1]
    assert (outwards > -1e-9).all()
    assert (outwards < step - 1e-9).all()  # no cell more than needed
    grid, earth = make_grid(step, tuple(grown)), make_grid(step)
    assert np.abs(grid.lon[:, None] - earth.lon).min(axis=1).max() < 1e-9
    assert np.abs(grid.lat[:, None] - earth.lat).min(axis=1).max() < 1e-9


def test_a_box_of_whole_cells_stays():
    for step, bounds in [(0.5, (0.2, 0.1, 10.2, 5.1)), (0.25, (-180, -90, 180, 90)), (0.7, (0, 0, 7, 1.4))]:
        assert whole_cells(step, bounds) == bounds
    for step, bounds in [
        (0.7, (0, 0, 10, 1)),
        (-1, (0, 0, 9.5, 1)),
        (1, (10, 0, 10, 5.5)),
        (1, (0, 0, 5, 95.5)),
    ]:
        assert whole_cells(step, bounds) == bounds  # make_grid refuses these


@pytest.mark.parametrize(
    ("step", "bounds"),
    [
        (0, (-180, -90, 180, 90)),
        (-1, (-180, -90, 180, 90)),
        (0.7, (-180, -90, 180, 90)),
        (1e-9, (-180, -90, 180, 90)),
        (1, (0, 0, 0, 5)),
        (1, (0, -95, 10, 5)),
        (1, (-190, 0, 10, 5)),
        (1, (180, 0, 180, 5)),
        (1, (180, 0, -180, 5)),
        (1, (10, 0, 371, 5)),
        (1, (190, 0, 551, 5)),
        (1, (400, 0, 410, 5)),
        (1, (10, 0, -190, 5)),
        (1, (180, 0, 541, 5)),
        (1, (170, 5, -170, 0)),
        (1, (NAN, 0, 10, 5)),
        (1, (170, 0, NAN, 5)),
        (1, (170, 0, math.inf, 5)),
        (0.7, (170, 0, -170, 7)),
        (2.0**63, (-180, -90, 180, 90)),
        (1e300, (-180, -90, 180, 90)),
        (360, (-180, -90, 180, 90)),
    ],
)
def test_grid_refusals(step, bounds):
    with pytest.raises(
        CoordinateError, match=r"^(bounds|step): expected|^step: 1e-09 degrees make"
    ) as caught:
        make_grid(step, bounds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "range_"),
    [
        ((170, -25, -170, 0), (170, -25, 190, 0)),
        ((170, -25, 190, 0), (170, -25, 190, 0)),
        ((10, 0, -10, 5), (10, 0, 350, 5)),
        ((10, 0, 370, 5), (10, 0, 370, 5)),
        ((170, 0, -180, 5), (170, 0, 180, 5)),
        ((180, 0, -170, 5), (-180, 0, -170, 5)),
        ((180, 0, 190, 5), (-180, 0, -170, 5)),
        ((180, 0, 540, 5), (-180, 0, 180, 5)),
        ((185, 0, 190, 5), (-175, 0, -170, 5)),
        ((185, 0, -170, 5), (-175, 0, -170, 5)),
        ((185, 0, 182, 5), (-175, 0, 182, 5)),
        ((-180, -90, 180, 90), (-180, -90, 180, 90)),
        ((160, 0, 180, 5), (160, 0, 180, 5)),
    ],
)
def test_a_box_across_the_antimeridian_is_one_range(given, range_):
    assert continuous(given) == range_
    assert make_grid(1, given).bounds == range_


@pytest.mark.parametrize("step", [0.1, 0.25, 0.5, 1 / 3, 2.5])
@pytest.mark.parametrize("bounds", [(170, -25, -170, 0), (100, -5, 340, 20), (120, -90, 240, 90)])
def test_a_grid_across_the_antimeridian_is_the_grids_of_its_two_sides(step, bounds):
    west, south, east, north = continuous(bounds)
    grid = make_grid(step, bounds)
    apart = [make_grid(step, (west, south, 180, north)), make_grid(step, (-180, south, east - 360, north))]
    for (columns, lon), side in zip(grid.sides(), apart, strict=True):
        np.testing.assert_array_equal(lon, side.lon)  # to the last digit
        np.testing.assert_array_equal(grid.lat, side.lat)
        cells = grid.lonlat().reshape(*grid.shape, 2)[:, columns]
        np.testing.assert_array_equal(cells.reshape(-1, 2), side.lonlat())
        np.testing.assert_allclose(grid.areas()[:, columns], side.areas(), rtol=0)
    np.testing.assert_allclose(np.diff(grid.lon), step, atol=1e-9)
    np.testing.assert_allclose(grid.lon[[0, -1]], [west + step / 2, east - step / 2], atol=1e-9)


@pytest.mark.parametrize(("bounds", "firsts"), [((170.2, 0, 190.2, 5), 20), ((179.7, 0, 181.7, 5), 1)])
def test_a_cell_on_the_antimeridian_belongs_where_its_middle_lies(bounds, firsts):
    grid = make_grid(0.5, bounds)
    assert [len(lon) for _, lon in grid.sides()] == [firsts, len(grid.lon) - firsts]
    lon = grid.lonlat()[: len(grid.lon), 0]
    assert ((lon >= -180) & (lon < 180)).all()
    np.testing.assert_allclose(np.mod(lon, 360), grid.lon, atol=1e-9)


def test_a_grid_whose_every_middle_lies_east_of_the_antimeridian():
    grid = make_grid(0.5, (179.9, 0, 180.9, 5))
    [(columns, lon)] = grid.sides()
    assert len(grid.lon[columns]) == 2
    np.testing.assert_allclose(lon, [-179.85, -179.35], atol=1e-9)


@pytest.mark.parametrize(
    ("step", "bounds", "grown"),
    [
        (0.5, (176.9, -19.3, -178.2, -15.9), (176.5, -19.5, 182, -15.5)),
        (0.5, (176.9, -19.3, 181.8, -15.9), (176.5, -19.5, 182, -15.5)),
        (5, (178.6, -19, -179.9, -16), (175, -20, 185, -15)),
        (1, (10.6, 0.5, 10.4, 3), (10, 0, 370, 3)),
        (1, (170.5, 0, 179.9, 3), (170, 0, 180, 3)),
        (1, (170, 0, -170, 3), (170, 0, -170, 3)),
    ],
)
def test_a_box_across_the_antimeridian_grows_to_whole_cells(step, bounds, grown):
    assert whole_cells(step, bounds) == pytest.approx(grown, abs=1e-9)
    grid, earth = make_grid(step, whole_cells(step, bounds)), make_grid(step)
    assert np.abs(grid.lonlat()[:, :1] - earth.lon).min(axis=1).max() < 1e-9


def test_the_mean_of_places_on_the_sphere():
    assert mean_place([[-10.0, 0.0], [10.0, 0.0], [NAN, NAN]]) == pytest.approx((0, 0), abs=1e-9)
    assert mean_place([[179.0, 10.0]]) == pytest.approx((179, 10))
    assert mean_place([[0.0, 80.0], [90.0, 80.0], [180.0, 80.0], [-90.0, 80.0]])[1] == pytest.approx(90)
    # unequal weights: two at (0, 0), one at (90, 0): the direction of (2, 1, 0)
    lon, _ = mean_place([[0.0, 0.0], [0.0, 0.0], [90.0, 0.0]])
    assert lon == pytest.approx(math.degrees(math.atan2(1, 2)))
    for nowhere in ([], [[NAN, NAN]], [[0.0, 0.0], [180.0, 0.0]]):
        assert mean_place(nowhere) is None
