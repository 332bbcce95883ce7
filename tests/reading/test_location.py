"""Where images are: control points at the antimeridian and the poles, parts of tiles, unknown places."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.rpc
from rasterio.control import GroundControlPoint as Gcp
from rasterio.transform import Affine, from_origin

from geomoe.inference.scene import cell_places, open_scene
from geomoe.inference.tiles import Item, Tiles, make_tiling
from geomoe.reading.location import georeference, located, middle_of, place_of
from geomoe.reading.raster import read_header

SIDE = 32
CORNERS = [(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)]  # row, column
GRID = [(row, column) for row in (0, 16, SIDE) for column in (0, 8, 16, 24, SIDE)]


def write(path, gcps=(), crs="EPSG:4326", size=(SIDE, SIDE), **options):
    height, width = size
    more = {"gcps": list(gcps)} if gcps else {}
    shape = {"count": 3, "width": width, "height": height, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, **shape, **more, **options) as file:
        file.write(np.full((3, height, width), 9, np.uint8))
    return path


def spread(corners, west, north, east, south, turn=lambda lon: lon):
    """Control points of an image between these bounds, longitudes as ``turn`` writes them."""
    return [
        Gcp(r, c, turn(west + c / SIDE * (east - west)), north + r / SIDE * (south - north))
        for r, c in corners
    ]


@pytest.mark.parametrize("points", [CORNERS, GRID, CORNERS[:3]])
@pytest.mark.parametrize(
    ("bounds", "turn", "lon"),
    [
        ((179.8, -16.0, 180.2, -16.4), lambda lon: lon - 360 if lon > 180 else lon, 180.0),  # -180 to 180
        ((179.8, -16.0, 180.2, -16.4), lambda lon: lon, 180.0),
        ((178.0, -16.0, 180.5, -16.4), lambda lon: lon - 360 if lon > 180 else lon, 179.25),
        ((-0.3, -16.0, 0.1, -16.4), lambda lon: lon % 360, -0.1),  # 0 to 360, across 0
        ((180.2, -16.0, 179.8, -16.4), lambda lon: lon - 360 if lon > 180 else lon, 180.0),  # mirrored
        ((10.0, 60.0, 10.4, 59.6), lambda lon: lon, 10.2),
    ],
)
def test_control_points_across_a_jump_of_longitude(points, bounds, turn, lon, tmp_path):
    path = write(tmp_path / "a.tif", spread(points, *bounds, turn))
    head = read_header(path)
    assert abs((head.lon - lon + 180) % 360 - 180) < 1e-6
    assert -180 <= head.lon < 180
    assert head.lat == pytest.approx((bounds[1] + bounds[3]) / 2, abs=1e-6)
    with rasterio.open(path) as source:
        assert georeference(source)[0].a * SIDE == pytest.approx(bounds[2] - bounds[0])
        (west, north), _ = place_of(source, 0, 0)
    assert abs((west - bounds[0] + 180) % 360 - 180) < 1e-6
    assert north == pytest.approx(bounds[1])


def test_control_points_in_mercator_across_the_antimeridian(tmp_path):
    to = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    degrees = spread(GRID, 179.8, -16.0, 180.2, -16.4, lambda lon: lon - 360 if lon > 180 else lon)
    gcps = [Gcp(p.row, p.col, *to.transform(p.x, p.y)) for p in degrees]
    for points in (gcps, [p for p in gcps if (p.row, p.col) in CORNERS]):
        head = read_header(write(tmp_path / "a.tif", points, "EPSG:3857"))
        assert abs(abs(head.lon) - 180) < 0.01
        assert head.lat == pytest.approx(-16.2, abs=0.01)


def test_control_points_around_a_pole(tmp_path):
    for sign in (1, -1):
        turns = zip(CORNERS, (-45, 45, -135, 135), strict=True)
        gcps = [Gcp(r, c, lon, sign * 89.0) for (r, c), lon in turns]
        head = read_header(write(tmp_path / "a.tif", gcps))
        assert head.lat == pytest.approx(sign * 90, abs=1e-3)


def test_control_points_of_the_whole_earth(tmp_path):
    with rasterio.open(write(tmp_path / "a.tif", spread(GRID, -180, 90, 180, -90))) as source:
        (lon, lat), unknown = place_of(source, 24, 8)
    assert (lon, lat, unknown) == (pytest.approx(90), pytest.approx(45), "")


@pytest.mark.parametrize(
    "gcps",
    [
        [Gcp(0, 0, 10.0, 50.0)],
        [Gcp(0, 0, 10.0, 50.0), Gcp(0, 32, 11.0, 50.0)],
        [Gcp(0, 0, 10.0, 50.0), Gcp(16, 16, 10.5, 49.5), Gcp(32, 32, 11.0, 49.0)],
        [Gcp(0, 0, 10.0, 50.0), Gcp(0, 0, 10.0, 50.0), Gcp(32, 32, 11.0, 49.0)],  # one of them twice
        [Gcp(0, 0, 10.0, 50.0), Gcp(0, 32, 10.5, 49.5), Gcp(32, 0, 11.0, 49.0)],  # on a line on the Earth
        [Gcp(r, c, 10.0, 50.0) for r, c in CORNERS],
    ],
)
def test_control_points_that_fix_no_place_say_so(gcps, tmp_path):
    path = write(tmp_path / "a.tif", gcps)
    head = read_header(path)
    assert np.isnan([head.lon, head.lat]).all()
    assert head.unknown.startswith("control points that fix no place")
    with rasterio.open(path) as source:
        assert georeference(source)[0].is_identity
    assert np.isnan(cell_places(open_scene([path]), 16, 0, 2)).all()


def test_other_places_that_are_not_known_say_why(tmp_path):
    path = tmp_path / "a.tif"
    wild = [Gcp(r, c, 10 + 40 * (r == c), 50.0 - r) for r, c in CORNERS]
    for gcps, crs, why in (
        (spread(CORNERS, 0, 1, 1, 0), rasterio.crs.CRS(), "no CRS"),
        (spread(CORNERS, 10, 99, 11, 95), "EPSG:4326", "off the Earth"),
        (wild, "EPSG:4326", "control points that fit no plane"),
    ):
        with rasterio.open(write(path, gcps, crs)) as source:
            assert located(source).unknown == why
    with rasterio.open(write(path, transform=Affine(0, 0, 10, 0, 0, 50))) as source:
        assert located(source).unknown == "a georeference without extent"
    site = 'LOCAL_CS["site",UNIT["metre",1]]'
    with rasterio.open(write(path, crs=site, transform=Affine(1, 0, 10, 0, -1, 50))) as source:
        assert place_of(source, 0, 0)[1] == "a CRS that is not tied to the Earth"
    ones = [0.1] * 20
    rpc = rasterio.rpc.RPC(0, 1, 50, 1, ones, ones, 0, 1, 10, 1, ones, ones, 0, 1)
    with rasterio.open(write(path, crs=None, rpcs=rpc)) as source:
        assert located(source).unknown.startswith("only coefficients for orthorectification")


def test_a_tile_and_a_cell_that_reach_beyond_have_the_place_of_their_part_inside(tmp_path):
    path = write(tmp_path / "globe.tif", size=(180, 360), transform=Affine(1, 0, -180, 0, -1, 90))
    tiles = Tiles(Item("globe", path), make_tiling(160, 0.0), 360, 180)
    expected = [(-100, 10), (60, 10), (160, 10), (-100, -80), (60, -80), (160, -80)]
    with rasterio.open(path) as source:
        found = [place_of(source, *middle_of(tile.window, 360, 180))[0] for tile in tiles]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(cell_places(open_scene([path]), 160, 1, 3), expected[3:], atol=1e-9)
    assert middle_of((-4, -6, 8, 8), 100, 100) == (2, 1)  # a window may begin before the raster


MOON = (
    'GEOGCS["Moon",DATUM["D_Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference_Meridian",0],'
    'UNIT["degree",0.0174532925199433]]'
)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (MOON, from_origin(10, 50, 0.001, 0.001)),  # no operation leads from there to the Earth
        ("EPSG:32632", from_origin(9e9, 9e9, 10, 10)),  # PROJ refuses points so far outside
        ("EPSG:27700", from_origin(-1e12, 1e12, 10, 10)),
    ],
)
def test_what_proj_refuses_is_off_the_earth(tmp_path, crs, transform):
    """GDAL's own errors are handed on by rasterio as they are; they ended prediction with status 1."""
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", crs=crs, transform=transform
    ) as file:
        file.write(np.ones((1, 8, 8), dtype=np.uint8))
    head = read_header(path)
    assert head.unknown == "off the Earth"
    assert np.isnan([head.lon, head.lat, head.metres, *head.corners]).all()
