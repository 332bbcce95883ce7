"""Raster, vector and figure: read back with the libraries that users read them with."""

from __future__ import annotations

import resource

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image

from geomoe.coords import make_grid, wrap_lon
from geomoe.earth.land import earth_on
from geomoe.errors import OutputError
from geomoe.mapping.figure import draw_figure, write_figure
from geomoe.mapping.raster import dominant_bands, write_raster
from geomoe.mapping.table import RoutingTable
from geomoe.mapping.vector import write_vector
from geomoe.support.files import Workplace

BOX = (60.0, -10.0, 150.0, 56.0)


@pytest.fixture(scope="module")
def boxed(synthetic):
    return synthetic.smooth_table(
        0.5, BOX, experts=4, facts=(("Checkpoint", "best.ckpt"),), title="A $ title"
    )


def test_raster_is_a_cloud_optimised_geotiff_of_the_table(boxed, tmp_path):
    write_raster(boxed, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.crs == "EPSG:4326"
        assert np.isnan(file.nodata)
        assert file.dtypes == ("float32",) * 10
        assert file.descriptions[8:] == ("block 8, dominant expert", "block 10, dominant expert")
        assert file.bounds == BOX
        assert file.descriptions[:5] == (*(f"block 8, expert {k}" for k in range(4)), "block 10, expert 0")
        assert file.tags()["Checkpoint"] == "best.ckpt"
        for band in range(8):
            np.testing.assert_array_equal(file.read(band + 1), boxed.image(*divmod(band, 4)))
        lon, lat = 77.2, 28.6
        found = np.array(next(file.sample([(lon, lat)])))
        cell = int((56 - lat) / 0.5) * 180 + int((lon - 60) / 0.5)
        np.testing.assert_array_equal(found[:8].reshape(2, 4), boxed.weights[:, cell])
        np.testing.assert_array_equal(found[8:], boxed.weights[:, cell].argmax(axis=1))


@pytest.mark.slow
def test_overviews_of_the_dominant_expert_are_experts(synthetic, tmp_path):
    table = synthetic.smooth_table(0.5, experts=4, blocks=1)
    write_raster(table, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as file:
        assert file.width == 360
        small = file.read()
    assert set(np.unique(small[4])) <= {0, 1, 2, 3}
    np.testing.assert_array_equal(small[4], small[:4].argmax(axis=0))
    assert list(dominant_bands(table)) == [5]


@pytest.fixture(scope="module")
def fiji(synthetic):
    """Ten degrees on each side of the antimeridian."""
    return synthetic.smooth_table(0.5, (170, -50, -170, 0), experts=4)


def test_a_raster_across_the_antimeridian_goes_on_beyond_180(fiji, tmp_path):
    write_raster(fiji, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.bounds == (170, -50, 190, 0)
        assert file.crs == "EPSG:4326"
        for band in range(8):
            np.testing.assert_array_equal(file.read(band + 1), fiji.image(*divmod(band, 4)))
        for lon, column in ((178.3, 16), (181.7, 23)):
            cell = int(17.6 / 0.5) * 40 + column
            found = np.array(next(file.sample([(lon, -17.6)])))
            np.testing.assert_array_equal(found[:8].reshape(2, 4), fiji.weights[:, cell])
            np.testing.assert_allclose(fiji.grid.lonlat()[cell], [wrap_lon(lon), -17.6], atol=0.25)
        assert file.index(-178.3 + 360, -17.6) == (35, 23)


def test_a_vector_across_the_antimeridian_has_longitudes_within_180(fiji, tmp_path):
    write_vector(fiji, tmp_path / "map.parquet")
    frame = geopandas.read_parquet(tmp_path / "map.parquet")
    first = frame.geometry.x.to_numpy()[:40]
    np.testing.assert_array_equal(first[:20], 170.25 + 0.5 * np.arange(20))
    np.testing.assert_array_equal(first[20:], -179.75 + 0.5 * np.arange(20))
    near = frame.cx[178.2:178.4, -17.8:-17.6]  # Viti Levu
    assert list(near["region"]) == ["Oceania"]
    earth = earth_on(make_grid(0.5))
    rows, columns = (90 - frame.geometry.y) // 0.5, (frame.geometry.x + 180) // 0.5
    expected = earth.region[rows.astype(int), columns.astype(int)]
    assert list(frame["region"]) == [earth.regions[number] for number in expected]
    assert len(set(expected)) > 1


@pytest.mark.slow
def test_a_figure_across_the_antimeridian_names_the_other_side(fiji, synthetic, tmp_path):
    summaries = synthetic.summaries_of(fiji)
    figure = draw_figure(fiji, summaries, "Oceania")
    axis = figure.axes[0]
    assert axis.get_xlim() == (170, 190)
    assert tuple(axis.images[0].get_extent()) == (170, 190, -50, 0)
    assert axis.get_xticks().tolist() == [170, 180, 190]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["170° E", "180°", "170° W"]
    assert [text.get_text() for text in axis.get_yticklabels()][-2:] == ["10° S", "0°"]
    drawn = np.concatenate([path.vertices for lines in axis.collections for path in lines.get_paths()])
    beyond = drawn[(drawn[:, 0] > 180) & (drawn[:, 0] < 190) & (drawn[:, 1] > -50) & (drawn[:, 1] < 0)]
    assert len(beyond)  # Taveuni
    write_figure(fiji, summaries, tmp_path / "map.png", "Oceania")
    assert min(Image.open(tmp_path / "map.png").size) > 300


@pytest.mark.slow
def test_vector_has_a_row_for_each_cell(boxed, tmp_path):
    write_vector(boxed, tmp_path / "map.parquet")
    frame = geopandas.read_parquet(tmp_path / "map.parquet")
    assert frame.crs == "EPSG:4326"
    np.testing.assert_array_equal(np.stack([frame.geometry.x, frame.geometry.y], axis=1), boxed.grid.lonlat())
    for block, name in enumerate(("block_8", "block_10")):
        np.testing.assert_array_equal(frame[f"{name}_dominant"], boxed.dominant(block).ravel())
        np.testing.assert_array_equal(frame[f"{name}_entropy"], boxed.entropy(block).ravel())
        for expert in range(4):
            np.testing.assert_array_equal(frame[f"{name}_expert_{expert}"], boxed.weights[block, :, expert])
    earth = earth_on(boxed.grid)
    assert list(frame["region"]) == [earth.regions[number] for number in earth.region.ravel()]
    assert list(frame["landcover"]) == [earth.covers[number] for number in earth.landcover.ravel()]


@pytest.mark.slow
def test_figure_shows_every_block(boxed, synthetic, tmp_path):
    summaries = synthetic.summaries_of(boxed)
    figure = draw_figure(boxed, summaries, "Asia")
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles[0] == "block 8: dominant expert"
    assert len(titles) == 4
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, boxed.dominant(0))
    assert np.diff(figure.axes[0].images[0].get_extent()[:2]) == 90
    write_figure(boxed, summaries, tmp_path / "map.png", "Asia")
    assert min(Image.open(tmp_path / "map.png").size) > 500


@pytest.mark.slow
@pytest.mark.parametrize("text", ["$x^{", "</text>", "a_b\\frac", "%s {0}", "São Tomé"])
def test_figure_takes_any_text(synthetic, tmp_path, text):
    table = synthetic.smooth_table(6.0, blocks=1)
    table = RoutingTable(table.grid, table.weights, (text,), title=text)
    write_figure(table, synthetic.summaries_of(table), tmp_path / "map.png")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tif", "parquet", "png"])
def test_a_full_disk_is_one_clear_error(synthetic, tmp_path, kind):
    table = synthetic.smooth_table(2.0)
    summaries = synthetic.summaries_of(table)
    writers = {
        "tif": lambda path: write_raster(table, path),
        "parquet": lambda path: write_vector(table, path),
        "png": lambda path: write_figure(table, summaries, path),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with (
            pytest.raises(OutputError, match="cannot write the map"),
            Workplace(tmp_path / "map", "the map") as place,
        ):
            place.write(f"map.{kind}", writers[kind])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_table_gives_the_same_bytes(synthetic, tmp_path):
    table = synthetic.smooth_table(6.0, blocks=1, facts=(("Checkpoint", "best.ckpt"),))
    summaries = synthetic.summaries_of(table)
    for name, write in (
        ("tif", write_raster),
        ("parquet", write_vector),
        ("png", lambda table, path: write_figure(table, summaries, path)),
    ):
        for number in (1, 2):
            write(table, tmp_path / f"{number}.{name}")
        assert (tmp_path / f"1.{name}").read_bytes() == (tmp_path / f"2.{name}").read_bytes()
