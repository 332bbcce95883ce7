"""Rows in Web Mercator: against the closed form and against rasterio's own reprojection."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_bounds
from rasterio.warp import Resampling, reproject, transform_bounds

from geomoe.coords import make_grid
from geomoe.earth.mercator import LIMIT, frame
from geomoe.errors import CoordinateError

BOXES = [(-180, -90, 180, 90), (60, -10, 150, 55), (-20, 70, 40, 90), (-180, -90, 180, -40), (3, 4, 5, 5),
         (170, -25, -170, 0), (20, -90, 380, 90)]  # fmt: skip


def northing(lat):
    return np.arcsinh(np.tan(np.radians(lat)))


def middles(bounds, height):
    """Latitude in the middle of each row of a picture that a web map stretches over bounds."""
    _, south, _, north = bounds
    y = northing(north) - (np.arange(height) + 0.5) / height * (northing(north) - northing(south))
    return np.degrees(np.arctan(np.sinh(y)))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("step", [0.5, 0.25])
def test_every_pixel_shows_the_cell_that_its_middle_lies_in(box, step):
    grid = make_grid(step, box)
    view = frame(grid)
    lat = middles(view.bounds, len(view.rows))
    assert np.abs(grid.lat[view.rows] - lat).max() <= step / 2 + 1e-9
    west, _, east, _ = view.bounds
    lon = west + (np.arange(len(view.columns)) + 0.5) / len(view.columns) * (east - west)
    assert np.abs(grid.lon[view.columns] - lon).max() <= step / 2 + 1e-9


@pytest.mark.parametrize("box", BOXES)
def test_no_cell_between_the_limits_is_lost(box):
    grid = make_grid(0.5, box)
    view = frame(grid)
    shown = np.flatnonzero(np.abs(grid.lat) < LIMIT - 0.5)
    assert set(shown) <= set(view.rows)
    np.testing.assert_array_equal(view.columns, np.arange(len(grid.lon)))


def test_a_box_across_the_antimeridian_is_drawn_like_one_of_its_width():
    view, same = frame(make_grid(0.5, (170, -25, -170, 0))), frame(make_grid(0.5, (-10, -25, 10, 0)))
    assert view.bounds == (170, -25, 190, 0)
    for part in ("rows", "columns", "step"):
        np.testing.assert_array_equal(getattr(view, part), getattr(same, part))


@pytest.mark.parametrize("box", BOXES[:2])
def test_equals_rasterio_reprojecting_the_picture(box):
    grid = make_grid(1.0, box)
    cells = np.arange(np.prod(grid.shape), dtype=np.float64).reshape(grid.shape)
    view = frame(grid)
    target = np.full((len(view.rows), len(view.columns)), -1.0)
    reproject(
        cells,
        target,
        src_transform=from_bounds(*box, grid.shape[1], grid.shape[0]),
        src_crs="EPSG:4326",
        dst_transform=from_bounds(
            *transform_bounds("EPSG:4326", "EPSG:3857", *view.bounds), len(view.columns), len(view.rows)
        ),
        dst_crs="EPSG:3857",
        resampling=Resampling.nearest,
        tolerance=0,
    )
    inner = np.s_[2:-2, 2:-2]  # at the edge of the world rasterio leaves pixels empty
    # a middle that falls on the border of two cells may go to either
    assert (view.take(cells)[inner] == target[inner]).mean() > 0.995


def test_bounds_end_where_web_mercator_does():
    assert frame(make_grid(0.5)).bounds == (-180, -LIMIT, 180, LIMIT)
    assert frame(make_grid(0.5, (10, 60, 20, 90))).bounds == (10, 60, 20, LIMIT)
    assert frame(make_grid(0.5, (10, 20, 20, 30))).bounds == (10, 20, 20, 30)


def test_fewer_pixels_keep_their_places():
    grid = make_grid(0.5)
    view = frame(grid, coarser=3)
    assert view.step == pytest.approx(1.5)
    lat = middles(view.bounds, len(view.rows))
    assert np.abs(grid.lat[view.rows] - lat).max() <= 0.25 + 1e-9


@pytest.mark.parametrize("box", [(-180, 86, 180, 90), (0, -90, 10, -85.5)])
def test_a_box_that_no_web_map_shows_is_refused(box):
    with pytest.raises(CoordinateError, match="a web map ends at 85"):
        frame(make_grid(0.5, box))


def test_limit_is_where_the_world_is_square():
    assert northing(LIMIT) == pytest.approx(np.pi, abs=1e-12)
    assert rasterio.crs.CRS.from_epsg(3857).is_projected
