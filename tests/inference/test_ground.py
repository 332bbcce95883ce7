"""Images of another ground sampling distance: said, or cut to the ground that training images covered."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin
from torchvision.transforms.v2.functional import resize

from geomoe.cli import main
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.errors import DataError, InputError
from geomoe.inference import load
from geomoe.inference.ground import Ground, ground_of
from geomoe.inference.inputs import Images
from geomoe.inference.tiles import Item, make_tiling
from geomoe.reading.location import located, metres_per_pixel
from geomoe.reading.raster import read_header

FILL = np.zeros(3, dtype=np.float32)
CORNERS = {
    "EPSG:32633": (5e5, 5.5e6),
    "EPSG:3857": (1.6e6, 8e6),
    "EPSG:4326": (15.0, 50.0),
    "EPSG:3035": (4e6, 3e6),
}


def write(path, pixels, size, crs="EPSG:32633", values=None):
    x, y = CORNERS[crs]
    place = {"crs": crs, "transform": from_origin(x, y, size, size)} if size else {}
    values = (
        np.random.default_rng(pixels).integers(0, 255, (3, pixels, pixels), dtype="uint8")
        if values is None
        else values
    )
    shape = {"count": 3, "height": values.shape[1], "width": values.shape[2], "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(values)
    return path


@pytest.mark.parametrize(
    ("crs", "size"), [("EPSG:32633", 10.0), ("EPSG:3857", 30.0), ("EPSG:4326", 0.001), ("EPSG:3035", 25.0)]
)
@pytest.mark.parametrize("pixels", [16, 200])
def test_the_ground_size_of_a_pixel_in_any_crs(crs, size, pixels, tmp_path):
    """Against the geodesic area of the pixel in the middle."""
    path = write(tmp_path / "a.tif", pixels, size, crs)
    (x, y), to = CORNERS[crs], pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    left, top = x + (pixels / 2 - 0.5) * size, y - (pixels / 2 - 0.5) * size
    corners = [to.transform(left + a * size, top - b * size) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*zip(*corners, strict=True))
    assert read_header(path).metres == pytest.approx(np.sqrt(abs(area)), rel=5e-3)


def test_it_is_unknown_without_a_place(tmp_path):
    with rasterio.open(write(tmp_path / "a.tif", 8, 0.0)) as source:
        assert np.isnan(metres_per_pixel(located(source), 4, 4))
    assert np.isnan(read_header(tmp_path / "a.tif").metres)


def test_a_folder_keeps_what_its_training_images_cover(tmp_path):
    rows = [(f"{k}.tif", f"c{k % 2}", ("train", "train", "val", "test")[k // 2 % 4]) for k in range(8)]
    for k, (name, _, _) in enumerate(rows):
        write(tmp_path / name, 16 if k % 4 else 32, 10.0)
    pd.DataFrame(rows, columns=["filename", "label", "split"]).to_csv(tmp_path / "t.csv", index=False)
    module = FolderDataModule(tmp_path, metadata="t.csv", image_size=8)
    info = module.info()
    train = [read_header(tmp_path / name) for name, _, split in rows if split == "train"]
    metres = np.array([head.metres for head in train])
    assert info["pixel_metres"]["median"] == pytest.approx(np.median(metres), rel=1e-5)
    assert info["pixel_metres"]["max"] == pytest.approx(10.0, rel=5e-3)
    extent = metres * [head.width for head in train]
    assert info["extent_metres"]["min"] == pytest.approx(extent.min(), rel=1e-5)
    assert info["extent_metres"]["max"] == pytest.approx(extent.max(), rel=1e-5)
    doubts = module.dataset("train").doubts
    assert any(
        "1 of 4 training images cover more than 1.5 times the ground" in doubt for doubt in doubts
    ) or any("2 of 4 training images cover" in doubt for doubt in doubts)


TRAINED = Ground(metres=10.0, extent=640.0, side=64)


@pytest.mark.parametrize(
    ("metres", "pixels", "said"),
    [
        (10.0, 64, ""),
        (14.0, 64, ""),
        (2.5, 256, ""),  # the same ground in more detail
        (10.0, 256, "images cover 4 times the ground"),
        (2.5, 64, "images cover 1/4 of the ground"),
        (200.0, 64, "images cover 20 times the ground"),
        (40.0, 16, "pixels are 4 times as long"),
        (np.nan, 256, "images have 4 times the pixels on a side"),
        (np.nan, 64, ""),
    ],
)
def test_what_is_said(metres, pixels, said):
    found = TRAINED.doubts(metres, pixels)
    assert bool(found) == bool(said)
    assert not said or found[0].startswith(said)
    assert Ground().doubts(metres, pixels) == ()  # of a checkpoint that knows nothing


def test_matched_images_are_those_that_training_saw(tmp_path):
    """The same ground at 10 m, and at 2.5 m in the middle of a larger image: the network sees the same."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (3, 64, 64), dtype="uint8")
    fine = np.zeros((3, 400, 400), "uint8")
    fine[:, 72:328, 72:328] = coarse.repeat(4, 1).repeat(4, 2)
    write(tmp_path / "coarse.tif", 64, 10.0, values=coarse)
    write(tmp_path / "fine.tif", 400, 2.5, values=fine)
    options = {"bands": (), "fill": FILL, "size": 32, "domains": []}
    items = [Item(name, tmp_path / f"{name}.tif") for name in ("coarse", "fine")]
    metres = read_header(tmp_path / "coarse.tif").metres
    ground = Ground(metres, 64 * metres, 64, match=True)
    one, other = (Images(items, [0, 1], ground=ground, **options)[k] for k in (0, 1))
    assert (one.doubts, other.doubts) == ((), ())
    expected = resize(torch.from_numpy(coarse).float(), [32, 32], antialias=True)
    torch.testing.assert_close(one.image, expected)
    torch.testing.assert_close(other.image, expected, atol=2.0, rtol=0)
    loose = Images(items, [1], ground=ground._replace(match=False), **options)[0]
    assert "images cover 1.6 times the ground" in loose.doubts[0]
    assert (loose.image - expected).abs().mean() > 20


def test_a_matched_image_that_is_too_small_has_no_data_around_it(tmp_path):
    write(tmp_path / "a.tif", 32, 10.0, values=np.full((3, 32, 32), 200, "uint8"))
    metres = read_header(tmp_path / "a.tif").metres
    ground = Ground(metres, 64 * metres, 64, match=True)
    options = {"bands": (), "fill": FILL, "size": 64, "domains": []}
    image = Images([Item("a", tmp_path / "a.tif")], [0], ground=ground, **options)[0].image
    assert (image[:, 16:48, 16:48] == 200).all()
    assert image.sum() == 3 * 32 * 32 * 200


def test_tiles_cover_the_same_ground():
    assert TRAINED.tiling(make_tiling(64, 0.5), 10.0) == make_tiling(64, 0.5)
    assert TRAINED.tiling(make_tiling(64, 0.5), 2.5) == make_tiling(256, 0.5)
    assert TRAINED.tiling(make_tiling(64, 0.75), 20.0) == make_tiling(32, 0.75)
    with pytest.raises(DataError, match="ground size of its pixels is not known"):
        TRAINED.tiling(make_tiling(64, 0.0), float("nan"))
    with pytest.raises(InputError, match="does not know the ground size"):
        ground_of({"source_pixels": 64}, match=True)


def test_where_training_images_differ_tiles_of_a_scene_cover_the_ground_of_the_median_one():
    """64 pixels of 10 m, 64 of 20 m and 32 of 20 m: the medians are 640 m, 20 m and 64 pixels."""
    mixed = Ground(metres=20.0, extent=640.0, side=64, match=True)
    for metres in (10.0, 20.0, 2.5):
        tiling = mixed.tiling(make_tiling(mixed.pixels, 0.5), metres)
        assert tiling.size * metres == 640
        assert mixed.doubts(metres, tiling.size) == ()
    assert TRAINED.pixels == 64
    (said,) = mixed.doubts(20.0, 64)  # tiles of another size were asked for
    assert "2.0 times the ground of the training images (640 m, pixels of 20 m)" in said
    assert "--match-gsd" not in said


@pytest.mark.slow
def test_the_command(checkpoints, tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(tmp_path)
    from geomoe.checkpoint import load_checkpoint, save_checkpoint

    known = load_checkpoint(checkpoints["moge"])
    predictor = load(checkpoints["moge"], "cpu")
    facts = {"pixel_metres": {"median": 10.0}, "extent_metres": {"median": 640.0}, "source_pixels": 64}
    save_checkpoint("known.ckpt", predictor.model, replace(known.config), {**known.info, **facts})
    write(tmp_path / "same.tif", 64, 10.0)
    write(tmp_path / "wide.tif", 256, 10.0)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("nowhere.png")
    words = ["predict", "--checkpoint", "known.ckpt", ".", "--device", "cpu", "--output", "out.csv"]
    assert main(words) == 0
    assert "images cover 4 times the ground" in caplog.text + capsys.readouterr().err
    caplog.clear()
    assert main([*words, "--match-gsd"]) == 0
    shown = caplog.text + capsys.readouterr().err
    assert "the ground of" not in shown
    assert (
        'nowhere.png,"the ground size of its pixels is not known'
        in (tmp_path / "out.csv.skipped.csv").read_text()
    )
    tiled = [*words[:-1], "tiles.csv", "--match-gsd", "--tile", "64", "--overlap", "0"]
    write(tmp_path / "fine.tif", 256, 2.5)
    assert main(tiled) == 0
    table = pd.read_csv("tiles.csv")
    counts = {name: (len(rows), set(rows["width"])) for name, rows in table.groupby("filename")}
    assert counts["fine.tif"][0] == 1
    assert counts["wide.tif"][0] == 16
    assert max(counts["fine.tif"][1]) == pytest.approx(256, abs=2)
    assert (
        main(
            [
                "predict",
                "--checkpoint",
                str(checkpoints["moge"]),
                "same.tif",
                "--match-gsd",
                "--output",
                "o.csv",
            ]
        )
        == 2
    )
    assert "does not know the ground size" in capsys.readouterr().err
    assert (
        main(["predict", "--checkpoint", "known.ckpt", "fine.tif", "--match-gsd", "--output", "o.tif"]) == 0
    )
    with rasterio.open("o.tif") as classes:
        assert classes.res == pytest.approx((128 * 2.5, 128 * 2.5), rel=0.01)
    mixed = {**known.info, **facts, "pixel_metres": {"median": 20.0}}
    save_checkpoint("mixed.ckpt", predictor.model, replace(known.config), mixed)
    scene = ["predict", "--checkpoint", "mixed.ckpt", "wide.tif", "--match-gsd", "--output", "m.tif"]
    assert main(scene) == 0
    with rasterio.open("m.tif") as classes:  # tiles of 640 m that overlap by half, in whole pixels
        assert classes.res == pytest.approx((320, 320), abs=10)


def test_a_sweep_says_it_too(checkpoints, tmp_path, caplog):
    from geomoe.inference.sweep import _tell_ground

    predictor = load(checkpoints["moge"], "cpu")
    predictor.info |= {"pixel_metres": {"median": 10.0}, "extent_metres": {"median": 640.0}}

    class Data:
        """A data set that knows its ground."""

        ground = np.array([(10.0, 64), (10.0, 256), (10.0, 260)])

    caplog.set_level(logging.WARNING)
    _tell_ground(predictor, Data())
    assert "images cover 4 times the ground" in caplog.text
    assert "2 of 3 images" in caplog.text
    assert "--match-gsd" not in caplog.text
