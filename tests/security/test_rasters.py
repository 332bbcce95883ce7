"""Images that lead elsewhere: refused in one line, and nobody is asked, nothing read, run or written."""

from __future__ import annotations

import os

import hostile_files as kit
import numpy as np
import pytest
import rasterio
from PIL import Image

from geomoe.errors import DataError
from geomoe.reading import raster
from geomoe.reading.opening import KeptOpen

BESIDE = (
    *("a mask that is a VRT", "overviews that are a VRT", "overviews in aux.xml", "a tag for overviews"),
    *("a pipe as aux.xml", "a pipe as world file", "a pipe as mask", "a CRS that opens a pipe", "a pipe"),
)
NAMES = (*kit.TEXTS, *BESIDE)
FILL = np.zeros(1, np.float32)


def never(path, vrt_root):
    """Try every way in; each is refused in one line that names the file."""
    kept = KeptOpen()

    def keep():
        with kept.open(path, vrt_root) as source:
            source.read()

    ways = (
        lambda: raster.read_header(path, vrt_root),
        lambda: raster.load_image(path, (), FILL, None, vrt_root),
        keep,
    )
    for way in ways:
        with pytest.raises(DataError) as caught:
            way()
        text = str(caught.value)
        assert text.startswith(f"{path}")
        assert len(text.splitlines()) == 1
        assert kit.SECRET not in text
    return text


@pytest.mark.parametrize("allowed", [False, True], ids=["no VRT", "VRT allowed"])
@pytest.mark.parametrize("name", NAMES)
def test_refused_and_nobody_is_asked(name, allowed, quiet, hostile):
    path = hostile[name]
    before = sorted(path.parent.rglob("*"))
    never(path, path.parent if allowed else None)
    assert sorted(path.parent.rglob("*")) == before


def ask(path):
    """What GDAL does by itself, with the drivers and options that rasterio has at first."""
    try:
        with rasterio.open(path) as source:
            source.read()
            source.read_masks()
            source.overviews(1)
    except rasterio.errors.RasterioError:
        pass


@pytest.mark.parametrize("name", kit.LIVE)
def test_the_trap_is_one(name, server, hostile):
    server.seen()
    ask(hostile[name])
    seen = server.seen()
    assert seen
    if name == "header file":  # a local file goes to the server
        assert any(kit.SECRET in line for line in seen)
    if name == "wms":  # what the server says is written where the file says
        assert any((hostile[name].parent / "cache").rglob("*"))


def test_a_file_may_change_between_the_look_and_the_opening(quiet, hostile, monkeypatch):
    """The driver is fixed: what the name stands for by then is not tried with another one."""
    from geomoe.reading import opening as raster_files

    path = kit.tif(hostile["wms"].parent / "changing.tif")
    look = raster_files.look

    def then_change(given):
        found = look(given)
        given.write_text(hostile["wms"].read_text())
        return found

    monkeypatch.setattr(raster_files, "look", then_change)
    with pytest.raises(DataError, match="unreadable image"):
        raster.read_header(path)


def test_a_source_may_change_after_the_look(quiet, hostile):
    """Sources are opened late, by GDAL, but by the driver that was found."""
    from geomoe.reading.vrt import rebuild

    folder = hostile["wms"].parent
    source = Image.fromarray(np.zeros((8, 8), np.uint8))
    source.save(folder / "late.bmp")
    (folder / "late.vrt").write_text(kit.vrt("late.bmp", 1))
    made = rebuild(folder / "late.vrt", folder)
    (folder / "late.bmp").write_bytes(hostile["polyglot bitmap"].read_bytes())
    with pytest.raises(rasterio.errors.RasterioError), rasterio.open(made.xml, driver="VRT") as opened:
        opened.read()


def test_a_file_in_a_folder_that_is_called_like_a_server(quiet, tmp_path, monkeypatch):
    folder = tmp_path / "http:" / quiet.address.removeprefix("http://")
    folder.mkdir(parents=True)
    kit.tif(folder / "a.tif")
    monkeypatch.chdir(tmp_path)
    assert raster.read_header(f"{quiet.address}/a.tif").bands == 1
    os.rename("http:", "GTIFF_DIR:1:x")
    kit.tif(tmp_path / "GTIFF_DIR:1:a.tif")
    assert raster.read_header("GTIFF_DIR:1:a.tif").bands == 1


# --- ERDAS files that name others ---------------------------------------------------------------


def erdas(folder, name, **options):
    values = np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64)
    shape = {"count": 1, "height": 64, "width": 64, "dtype": "uint8"}
    with rasterio.open(folder / name, "w", driver="HFA", crs="EPSG:4326", **shape, **options) as file:
        file.write(values)
    return folder / name, values


def test_erdas_files_are_read_with_their_pixels_beside_them(tmp_path):
    for name, options in (("a.img", {}), ("b.img", {"USE_SPILL": "YES"})):
        path, values = erdas(tmp_path, name, **options)
        np.testing.assert_array_equal(raster.load_image(path, (), FILL).numpy(), values)
    assert (tmp_path / "b.ige").exists()


@pytest.mark.parametrize("other", ["../b.i", "/tmp/bi", "..\\b.ig"])
def test_erdas_files_with_their_pixels_elsewhere(tmp_path, other):
    path, _ = erdas(tmp_path, "bbb.img", USE_SPILL="YES")
    content = path.read_bytes()
    assert b"bbb.ige" in content
    path.write_bytes(content.replace(b"bbb.ige", f"{other:7.7}".encode()))
    (tmp_path / "bbb.ige").unlink()
    with pytest.raises(DataError, match="outside its folder"):
        raster.load_image(path, (), FILL)


def test_erdas_files_whose_pixels_are_a_pipe(tmp_path):
    path, _ = erdas(tmp_path, "b.img", USE_SPILL="YES")
    (tmp_path / "b.ige").unlink()
    os.mkfifo(tmp_path / "b.ige")
    with pytest.raises(DataError, match="is a pipe, not a file"):
        raster.read_header(path)


def test_a_damaged_erdas_file(tmp_path):
    path, _ = erdas(tmp_path, "a.img")
    whole = path.read_bytes()
    for content in (whole[:40], whole[:16] + b"\xff" * 4 + whole[20:], whole[:300]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="unreadable image"):
            raster.load_image(path, (), FILL)


# --- what lies beside good images goes on to count ----------------------------------------------


def test_good_files_beside_an_image_still_count(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    assert raster.read_header(path).unknown == "no georeference"
    (tmp_path / "a.pgw").write_text("0.1\n0\n0\n-0.1\n5.05\n49.95\n")
    assert raster.read_header(path).unknown == "no CRS"
    (tmp_path / "a.png.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:4326</SRS><PAMRasterBand band='1'><NoDataValue>3</NoDataValue></PAMRasterBand>"
        "</PAMDataset>"
    )
    head = raster.read_header(path)
    np.testing.assert_allclose((head.lon, head.lat), (5.4, 49.6))
    assert raster.load_image(path, (), np.array([-1], np.float32))[0, 0, 3] == -1
    kit.tif(tmp_path / "b.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(tmp_path / "b.tif", "r+") as file:
        file.write_mask(np.eye(8, dtype=np.uint8) * 255)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(tmp_path / "b.tif", "r+") as file:
        file.build_overviews([2])
    assert sorted(one.name for one in tmp_path.glob("b.tif.*")) == ["b.tif.msk", "b.tif.msk.ovr", "b.tif.ovr"]
    image = raster.load_image(tmp_path / "b.tif", (), np.array([-1], np.float32))[0].numpy()
    np.testing.assert_array_equal(image == -1, ~np.eye(8, dtype=bool))
