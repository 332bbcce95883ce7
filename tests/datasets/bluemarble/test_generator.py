"""The generator of the index, on small made-up Earths, and its outputs against one another."""

from __future__ import annotations

import io
import json
import tarfile
from importlib.resources import files

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import Point, shape

from geomoe.datasets.bluemarble import index
from tools import choose, earth, iso_regions, make_bluemarble_index


def topology(rings, code="056", name="Belgium"):
    """TopoJSON with one country of one polygon a ring, in whole degrees (scale 1, shift -180, -90)."""
    arcs = [np.diff(np.add(ring, (180, 90)), axis=0, prepend=[[0, 0]]).tolist() for ring in rings]
    country = {
        "type": "MultiPolygon",
        "arcs": [[[k]] for k in range(len(rings))],
        "properties": {"name": name},
    }
    if code is not None:
        country["id"] = code
    transform = {"scale": [1, 1], "translate": [-180, -90]}
    return {"objects": {"countries": {"geometries": [country]}}, "arcs": arcs, "transform": transform}


def square(west, south, east, north):
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def test_topojson_is_decoded():
    ((polygon, region),) = earth.region_polygons(topology([square(2, 49, 6, 52)]))
    assert polygon.bounds == (2, 49, 6, 52)
    assert polygon.area == 12
    assert region == "Europe"


def test_arcs_are_joined_forwards_and_backwards():
    atlas = topology([square(0, 0, 4, 4)])
    # The same square in two arcs: (0,0)-(4,0)-(4,4) forwards and (0,0)-(0,4)-(4,4) backwards.
    atlas["arcs"] = [[[180, 90], [4, 0], [0, 4]], [[180, 90], [0, 4], [4, 0]]]
    atlas["objects"]["countries"]["geometries"][0]["arcs"] = [[[0, -2]]]
    ((polygon, _),) = earth.region_polygons(atlas)
    assert polygon.area == 16


def test_a_polygon_across_the_antimeridian_is_cut_in_two():
    ring = [(170, 60), (-170, 60), (-170, 70), (170, 70), (170, 60)]
    pieces = [polygon for polygon, _ in earth.region_polygons(topology([ring]))]
    assert sorted(piece.bounds for piece in pieces) == [(-180, 60, -170, 70), (170, 60, 180, 70)]


def test_a_ring_around_the_pole_is_closed_through_it():
    coast = [(lon, -70) for lon in (-180, -90, 0, 90, 180)]
    pieces = [polygon for polygon, _ in earth.region_polygons(topology([coast], "010", "Antarctica"))]
    assert sum(piece.area for piece in pieces) == pytest.approx(360 * 20)
    assert all(piece.is_valid for piece in pieces)


def test_rows_and_columns_of_the_region_raster():
    raster = earth.rasterize_regions(earth.region_polygons(topology([square(2, 49, 6, 52)])), 2)
    assert raster.shape == (360, 720)
    filled = np.argwhere(raster == earth.REGION_NAMES.index("Europe"))
    assert filled.min(axis=0).tolist() == [(90 - 52) * 2, (180 + 2) * 2]
    assert filled.max(axis=0).tolist() == [(90 - 49) * 2 - 1, (180 + 6) * 2 - 1]
    assert len(filled) == 12 * 4


def test_every_code_is_in_one_region():
    lists = [
        iso_regions.AFRICA,
        iso_regions.AMERICAS,
        iso_regions.ASIA,
        iso_regions.EUROPE,
        iso_regions.OCEANIA,
    ]
    codes = [code for text in lists for code in text.split()]
    assert len(codes) == len(set(codes))
    assert all(len(code) == 3 and code.isdigit() for code in codes)
    # The five M49 regions have 60, 57, 50, 51 (with Guernsey and Jersey) and 29 countries and areas;
    # a few islands without land in Natural Earth may be missing from our lists.
    assert [len(text.split()) for text in lists] == pytest.approx([60, 57, 51, 53, 29], abs=6)


@pytest.mark.parametrize(
    ("code", "name", "bounds", "region"),
    [
        ("643", "Russia", (27, 41, 180, 82), "Europe"),
        ("792", "Turkey", (26, 36, 45, 42), "Asia"),
        ("398", "Kazakhstan", (46, 40, 87, 55), "Asia"),
        ("818", "Egypt", (25, 22, 37, 32), "Africa"),
        ("304", "Greenland", (-73, 60, -12, 83), "Americas"),
        ("840", "United States of America", (-160, 19, -154, 22), "Americas"),
        ("250", "France", (-5, 42, 8, 51), "Europe"),
        ("250", "France", (-54.6, 2.1, -51.6, 5.8), "Americas"),
        ("250", "France", (55.2, -21.4, 55.8, -20.9), "Africa"),
        ("528", "Netherlands", (-68.4, 12, -68.2, 12.3), "Americas"),
        ("598", "Papua New Guinea", (141, -11, 156, -1), "Oceania"),
        (None, "Kosovo", (20, 41.9, 21.8, 43.2), "Europe"),
        (None, "Somaliland", (42.7, 8, 48.9, 11.5), "Africa"),
    ],
)
def test_regions_of_countries(code, name, bounds, region):
    assert iso_regions.region_of(code, name, *bounds) == region


def test_an_unknown_country_is_an_error():
    with pytest.raises(KeyError):
        iso_regions.region_of("999", "Atlantis", 0, 0, 1, 1)
    with pytest.raises(KeyError):
        iso_regions.region_of(None, "Atlantis", 0, 0, 1, 1)


def test_land_cover_classes_are_merged(tmp_path):
    igbp = np.zeros((3600, 7200), dtype=np.uint8)
    igbp[0, :17] = np.arange(17)
    path = tmp_path / "cover.tif"
    profile = {
        "driver": "GTiff",
        "width": 7200,
        "height": 3600,
        "count": 1,
        "dtype": "uint8",
        "compress": "deflate",
    }
    with rasterio.open(path, "w", transform=from_origin(-180, 90, 0.05, 0.05), **profile) as file:
        file.write(igbp, 1)
    names = [earth.LANDCOVER_NAMES[i] for i in earth.read_landcover(path)[0, :17]]
    assert names == [
        "Water", "Evergreen needleleaf forest", "Evergreen broadleaf forest", "Other land",
        "Deciduous broadleaf forest", "Mixed forest", "Shrubland", "Shrubland", "Woody savanna", "Savanna",
        "Grassland", "Wetland", "Cropland", "Other land", "Cropland", "Snow and ice", "Barren",
    ]  # fmt: skip


def test_majority_of_squares():
    ids = np.array([[1, 1, 0, 0], [2, 0, 0, 2], [0, 0, 3, 3], [0, 0, 3, 1]], dtype=np.uint8)
    assert earth.majority(ids, 2, 4).tolist() == [[1, 0], [0, 3]]


@pytest.fixture(scope="module")
def world():
    """Europe everywhere in one 6-degree block at (12 E, 6 N); Asia covers its eastern degree."""
    regions, cover = np.zeros((3600, 7200), dtype=np.uint8), np.zeros((3600, 7200), dtype=np.uint8)
    rows, columns = slice(84 * 20, 90 * 20), slice(192 * 20, 198 * 20)
    regions[rows, columns] = earth.REGION_NAMES.index("Europe")
    regions[rows, 197 * 20 : 198 * 20] = earth.REGION_NAMES.index("Asia")
    cover[rows, columns] = 1 + index.CLASSES.index("Cropland")
    cover[84 * 20 : 87 * 20, columns] = 1 + index.CLASSES.index("Grassland")
    return regions, cover


def test_candidates_keep_every_rule(world):
    found = choose.find_candidates(*world)
    lon, lat = found.column / 20 - 180, 90 - found.row / 20
    assert set(found.block) == {14 * 60 + 32}
    # 16 pixels (1.07 degrees) from the block's edges, and as far from the other region.
    assert lon.min() == pytest.approx(13.2)
    assert lon.max() == pytest.approx(15.8)
    assert (lat.min(), lat.max()) == pytest.approx((1.2, 4.8))
    assert {index.REGIONS[r] for r in found.region} == {"Europe"}
    named = np.array(index.CLASSES)[found.label]
    assert (named[lat > 3.0] == "Grassland").all()
    assert (named[lat < 3.0] == "Cropland").all()
    assert len(found.row) == len(np.unique(lon)) * len(np.unique(lat)) == 14 * 19


def test_impure_places_are_left_out(world):
    regions, cover = world
    striped = cover.copy()
    striped[:, ::2] = 0
    striped[1::5, ::2] = cover[1::5, ::2]  # 60 percent: kept
    assert len(choose.find_candidates(regions, striped).row) > 100
    striped[:, ::2] = 0
    striped[:, 1::20] = 0  # 40 to 50 percent, but never half
    striped[1::5] = 0
    assert len(choose.find_candidates(regions, striped).row) == 0


def test_caps_take_blocks_in_turn(monkeypatch):
    monkeypatch.setattr(choose, "CAP", 10)
    monkeypatch.setattr(choose, "BLOCK_CAP", 4)
    block = np.array([0] * 50 + [1] * 3 + [2] * 30)
    count = len(block)
    zeros = np.zeros(count, dtype=np.int64)
    rows = choose.cap(choose.Candidates(np.arange(count), zeros, zeros, zeros, block))
    assert np.bincount(block[rows]).tolist() == [4, 3, 3] or np.bincount(block[rows]).tolist() == [3, 3, 4]
    monkeypatch.setattr(choose, "CAP", 100)
    rows = choose.cap(choose.Candidates(np.arange(count), zeros, zeros, zeros, block))
    assert np.bincount(block[rows]).tolist() == [4, 3, 4]


def test_dealing_agrees_with_the_shares():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (200, 6)).astype(float)
    shares = np.array([0.5, 0.3, 0.2])
    weight = 1 / counts.sum(axis=0)
    part = choose.deal(counts, weight, np.arange(200), shares)
    load = np.stack([counts[part == k].sum(axis=0) for k in range(3)]) / counts.sum(axis=0)
    np.testing.assert_allclose(load, np.repeat(shares[:, None], 6, axis=1), atol=0.01)
    np.testing.assert_array_equal(part, choose.deal(counts, weight, np.arange(200), shares))


def test_the_same_inputs_give_the_same_bytes_and_a_readable_index(tmp_path, world, monkeypatch):
    regions, cover = world
    table = choose.make_table(regions, cover)
    parsed = index.parse_index(table.encode())
    assert len(parsed.label) == 120  # one block, two classes, 60 of each
    for name in ("a", "b"):
        make_bluemarble_index.write_index(tmp_path / name, table)
        make_bluemarble_index.write_rasters(tmp_path / f"{name}.npz", regions[1600:1800], cover[1600:1800])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["region"].shape == arrays["landcover"].shape == (20, 720)
    assert arrays["region"][10, 390] == earth.REGION_NAMES.index("Europe")
    assert arrays["region"][7, 390] == 0


def test_the_atlas_is_read_from_the_package_or_its_folder(tmp_path):
    atlas = json.dumps(topology([square(2, 49, 6, 52)])).encode()
    (tmp_path / "countries-50m.json").write_bytes(atlas)
    with tarfile.open(tmp_path / "atlas.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/countries-50m.json")
        member.size = len(atlas)
        archive.addfile(member, io.BytesIO(atlas))
    assert (
        earth.read_atlas(tmp_path, "50m")
        == earth.read_atlas(tmp_path / "atlas.tgz", "50m")
        == json.loads(atlas)
    )


def test_shipped_files_agree_with_one_another():
    assets = files("geomoe.earth") / "assets"
    with (assets / "earth.npz").open("rb") as file:
        arrays = dict(np.load(file))
    assert tuple(arrays["region_names"]) == earth.REGION_NAMES
    assert tuple(arrays["class_names"]) == earth.LANDCOVER_NAMES
    whole = index.load_index()
    row = np.floor((90 - whole.lonlat[:, 1]) * 2).astype(int)
    column = np.floor((whole.lonlat[:, 0] + 180) * 2).astype(int)
    region = arrays["region"][row, column]
    assert ((region == whole.region + 1) | (region == 0)).all()
    assert (region == whole.region + 1).mean() > 0.98
    # The raster's cells and a sample's central square overlap by half or more.
    assert (arrays["landcover"][row, column] == whole.label + 1).mean() > 0.7
    outline = json.loads((assets / "land.geojson").read_text())
    shapes = {feature["properties"]["region"]: shape(feature["geometry"]) for feature in outline["features"]}
    assert tuple(shapes) == earth.REGION_NAMES[1:]
    for i in range(0, len(whole.label), 400):
        distance = {name: land.distance(Point(whole.lonlat[i])) for name, land in shapes.items()}
        assert distance[index.REGIONS[whole.region[i]]] < 0.5
