"""``geomoe predict`` and inputs that are wrong, odd or half there: refused, or counted and listed."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin

from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.cli import main
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.datasets.samples.folder import write
from tests import forked
from tests.cli import slow_verbs
from tests.kinds import long_after


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The sample folder: 72 images of 4 bands, one empty, one half, one of 3 bands."""
    folder = tmp_path_factory.mktemp("predict") / "data"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    """An untrained network of it."""
    torch.manual_seed(0)
    table = DataConfig(name="folder", root=str(data), metadata="clean.csv")
    config = RunConfig(algorithm="moge", encoder=EncoderConfig(legendre_polys=4, out_dim=16))
    config = replace(config, data=table, model=ModelConfig(image_size=16))
    info = build_datamodule(config).info()
    path = tmp_path_factory.mktemp("checkpoint") / "a.ckpt"
    return save_checkpoint(path, build_network(config, info), config, info)


@pytest.fixture
def words(checkpoint):
    """The command, but for what is asked."""
    return ["predict", "--checkpoint", str(checkpoint), "--device", "cpu", "--quiet"]


@pytest.fixture
def predict(words, capsys):
    """Run a prediction that must succeed; what it printed, by name."""

    def run(*argv):
        capsys.readouterr()
        assert main([*words, *map(str, argv)]) == 0, capsys.readouterr().err
        lines = capsys.readouterr().out.splitlines()
        return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}

    return run


def scene(path, height=60, width=70, bands=4, fill=None, **place):
    values = np.random.default_rng(0).integers(1, 4000, (bands, height, width)).astype(np.uint16)
    if fill is not None:
        values[:] = fill
    place = place or {"crs": "EPSG:3857", "transform": from_origin(1e6, 6e6, 30, 30)}
    shape = {"count": bands, "height": height, "width": width, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", blockysize=8, **shape, **place) as file:
        file.write(values)
    return path


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["new/out.csv", "new/out.tif"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.tif", "gone.tif: no such "),
        ("empty.tif", "the image is empty (0 bytes)"),
        ("text.tif", "unreadable image: "),
        ("half.tif", "unreadable image: "),
        ("three.tif", "has 3 bands, expected 4; choose some with data.bands"),
        ("nothing.tif", "nothing.tif: holds no data"),
    ],
)
def test_an_image_that_cannot_be_predicted(refused, words, tmp_path, name, message, output):
    whole = scene(tmp_path / "whole.tif").read_bytes()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "half.tif").write_bytes(whole[: len(whole) // 4])
    scene(tmp_path / "three.tif", bands=3)
    scene(tmp_path / "nothing.tif", fill=0)
    assert message in refused(*words, name, "--output", output)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: not a csv file with columns: it is empty"),
        ("filename,lon,lat\n", "t.csv: has no rows under its header"),
        (
            "file,lon,lat\na.tif,1,2\n",
            "filename (columns: file, lon, lat); perhaps --columns filename=file",
        ),
        ("filename;lon,lat\na.tif;1,2;3\n", "t.csv: no column filename (columns: filename;lon, lat)"),
        ("filename,lon,lat\na.tif,1,95\n", "t.csv: 1 of 1 row cannot be used"),
        ("filename,lon\na.tif,1\n", "t.csv: no column lat"),
        ('filename\na.tif\n"b.tif\nc.tif\n', "t.csv: line 3: a quote is not where it should be"),
        (
            "filename\ngone.tif\nlost.tif\n",
            "none of 2 images can be predicted; first: gone.tif: no such image",
        ),
    ],
)
def test_a_table_that_cannot_be_used(refused, words, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    assert message in refused(*words, "t.csv", "--output", "new/out.csv")


@pytest.mark.parametrize(("flag", "says"), [("--checkpoint", "--checkpoint"), ("--colors", "--colors")])
def test_what_is_read_is_not_overwritten(refused, tmp_path, flag, says):
    (tmp_path / "own.csv").write_text("name,color\n")
    (tmp_path / "link.csv").symlink_to("own.csv")
    (tmp_path / "a.png").write_text("")
    read = {"--checkpoint": "x.ckpt", flag: "link.csv"}
    argv = [word for pair in read.items() for word in pair]
    message = f"own.csv: would overwrite {says}; give another --output"
    assert message in refused("predict", *argv, "a.png", "--output", "own.csv")
    assert message in refused("encode", "p.csv", *argv[:2], "--output", "own.csv") or flag == "--colors"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["none", "--output", "out.csv"], "none: no image found (they end in .tif, "),
        (["a.txt", "--output", "out.csv"], "a.txt: expected an image, a folder or a table"),
        (
            ["a.png", "--output", "out.shp"],
            "out.shp: expected a file that ends in .csv, .parquet, .geojson, .t",
        ),
        (["a.png", "--output", "out"], "out: expected a file that ends in"),
        (["a.png", "--output", "dir.csv"], "dir.csv: is a folder; give a file as --output"),
        (["a.png", "--output", "dir.tif"], "dir.tif: is a folder; give a file as --output"),
        (["a-scores.tif", "--output", "a.tif"], "a-scores.tif: would overwrite an input"),
        (["b.csv.skipped.csv", "--output", "b.csv"], "b.csv.skipped.csv: would overwrite an input"),
        (["t.csv", "--data-root", "nowhere", "--output", "out.csv"], "nowhere: no such folder of images"),
        (["a.png", "b.png", "--output", "out.tif"], "is made of exactly one raster"),
        (
            ["a.png", "--output", "out.csv", "--tile", "0"],
            "--tile: expected a whole number from 1 to 8,192;",
        ),
        (
            ["a.png", "--output", "out.csv", "--tile", "9000"],
            "--tile: expected a whole number from 1 to 8,192; got '9000'",
        ),
        (["a.png", "--output", "out.csv", "--overlap", "0.3"], "--overlap: invalid choice: 0.3"),
        (
            ["a.png", "--output", "out.csv", "--num-workers", "-1"],
            "from 0 to 1,024; got '-1'",
        ),
        (
            ["a.png", "--output", "out.csv", "--batch-size", "0"],
            "from 1 to 1,000,000; got '0'",
        ),
        (["a.png", "--output", "out.csv", "--device", "warp9"], "device: cannot use 'warp9'"),
    ],
)
def test_a_command_that_cannot_be(refused, words, tmp_path, argv, message):
    for folder in ("none", "dir.csv", "dir.tif"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a.txt").write_text("x")
    for table in ("t.csv", "b.csv.skipped.csv"):
        (tmp_path / table).write_text("filename\na.png\n")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    scene(tmp_path / "a-scores.tif")
    assert message in refused(*words, *argv)


@pytest.mark.parametrize("output", ["new/out.csv", "new/out.tif"])
def test_a_folder_that_cannot_be_written(refused, words, tmp_path, monkeypatch, output):
    """Whoever runs the tests may be allowed to write everywhere, so the system's answer is played."""

    def no(*given, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    scene(tmp_path / "a.tif")
    monkeypatch.setattr("tempfile.TemporaryFile", no)
    assert "new: cannot be written: Permission denied" in refused(*words, "a.tif", "--output", output)


def test_swapped_columns_are_found_before_any_work(refused, words, data, tmp_path):
    table = pd.read_csv(data / "clean.csv").rename(columns={"lon": "lat", "lat": "lon"})
    table.to_csv(tmp_path / "swapped.csv", index=False)
    line = refused(*words, "swapped.csv", "--data-root", data, "--output", "out.csv")
    assert "swapped.csv: the columns lon and lat look swapped: images/degrees_00.TIF has lon=" in line


# --- what is counted and listed -----------------------------------------------------------------


def test_what_cannot_be_read_among_good_images_is_counted_and_listed(predict, data, tmp_path):
    told = predict(data / "images", "--output", "new/out.csv")
    assert (told["predicted"], told["skipped"], told["listed"]) == ("72", "3", "new/out.csv.skipped.csv")
    with (tmp_path / "new/out.csv.skipped.csv").open(newline="") as file:
        listed = {row["filename"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file)}
    assert set(listed) == {"empty.tif", "half.tif", "three bands.tif"}
    assert listed["empty.tif"] == "the image is empty (0 bytes)"
    assert listed["three bands.tif"] == "has 3 bands, expected 4; choose some with data.bands"
    assert len(pd.read_csv(tmp_path / "new/out.csv")) == 72


@pytest.mark.slow
def test_a_list_of_an_earlier_time_goes_when_nothing_is_left_out(predict, data, tmp_path):
    predict(data / "images", "--output", "out.csv")
    assert (tmp_path / "out.csv.skipped.csv").exists()
    predict(data / "clean.csv", "--output", "out.csv")
    assert not (tmp_path / "out.csv.skipped.csv").exists()


def test_part_of_a_scene_that_cannot_be_read_is_listed_tile_by_tile(predict, tmp_path):
    path = scene(tmp_path / "scene.tif", height=72, width=72)
    with rasterio.open(path) as file:  # rows 32 to 39 are one compressed strip
        strip = int(file.get_tag_item("BLOCK_OFFSET_0_4", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[strip : strip + 40] = bytes(40)
    path.write_bytes(content)
    told = predict("scene.tif", "--overlap", "0", "--output", "out.tif")
    listed = pd.read_csv(tmp_path / "out.tif.skipped.csv")
    assert (told["predicted"], told["skipped"]) == ("6", "3")
    where = [f"tile at column {column}, row 24: unreadable image: " for column in (0, 24, 48)]
    assert [reason.startswith(begin) for reason, begin in zip(listed["reason"], where, strict=True)] == [
        True
    ] * 3
    with rasterio.open(tmp_path / "out.tif") as file:
        assert (file.read(1) == file.nodata).tolist() == [[False] * 3, [True] * 3, [False] * 3]


def test_odd_names_and_names_that_nobody_can_write(predict, data, tmp_path):
    (tmp_path / "in").mkdir()
    whole = (data / "images/utm 01.tif").read_bytes()
    for name in ("bild ä 日本.tif", "with, comma.TIF", 'a "quote".tiff'):
        (tmp_path / "in" / name).write_bytes(whole)
    try:
        with open(os.fsencode(tmp_path / "in") + b"/latin-\xe9.tif", "wb") as file:
            file.write(whole)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    (tmp_path / "in/folder.tif").mkdir()
    told = predict("in", "--output", "out.csv")
    assert (told["predicted"], told["skipped"]) == ("3", "1")
    assert "latin-" in (tmp_path / "out.csv.skipped.csv").read_text(encoding="utf-8")
    assert set(pd.read_csv(tmp_path / "out.csv")["filename"]) == {
        "in/bild ä 日本.tif", "in/with, comma.TIF", 'in/a "quote".tiff',
    }  # fmt: skip


# --- scenes that are odd and legal --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (10, 7), (24, 24), (1, 200)])
def test_scenes_smaller_than_a_tile(predict, tmp_path, size):
    scene(tmp_path / "scene.tif", *size)
    predict("scene.tif", "--output", "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.shape == (-(-size[0] // 12), -(-size[1] // 12))
        assert (file.read(1) != file.nodata).all()


def test_a_scene_without_crs_has_no_places(predict, tmp_path):
    scene(tmp_path / "scene.tif", transform=from_origin(1e6, 6e6, 30, 30))
    told = predict("scene.tif", "--output", "out.tif")
    assert told["unknown_places"] == told["predicted"] != "0"
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.crs is None


def test_a_scene_with_control_points_is_written_where_they_say(predict, tmp_path):
    points = [GroundControlPoint(r, c, 20 + c / 100, 40 - r / 100) for r in (0, 60) for c in (0, 70)]
    scene(tmp_path / "scene.tif", crs="EPSG:4326", gcps=points)
    assert predict("scene.tif", "--output", "out.tif")["unknown_places"] == "0"
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.crs == rasterio.crs.CRS.from_epsg(4326)
        np.testing.assert_allclose(file.transform[:6], (0.12, 0, 20, 0, -0.12, 40), atol=1e-9)


# --- killed and resumed -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("output", long_after(1, ["out.csv", "out.tif", "out.parquet"]))
def test_killed_and_resumed_it_gives_the_same_bytes(words, predict, data, tmp_path, capsys, output):
    """SIGKILL, in the middle of its work; then the same command with --resume."""
    scene(tmp_path / "scene.tif", 200, 200)
    given = ["scene.tif"] if output.endswith(".tif") else [str(data / "points.csv"), str(data / "images")]
    argv = [*given, "--batch-size", "4"]
    predict(*argv, "--output", f"whole/{output}")
    process = forked.start(slow_verbs.predict, [*words, *argv, "--output", output])
    partial = tmp_path / f"{output}.partial"
    forked.until(lambda: partial.exists() and partial.stat().st_size > 5000, process)
    forked.killed(process)
    assert sorted(path.name for path in tmp_path.glob("out*")) == [partial.name]
    told = predict(*argv, "--output", output, "--resume")
    assert 0 < int(told["resumed"]) < int(told["predicted"])
    assert not partial.exists()
    made = sorted(path.name for path in tmp_path.glob("out*"))
    assert made == sorted(path.name for path in (tmp_path / "whole").iterdir())
    for name in made:
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.slow
def test_resuming_with_other_inputs_is_refused(refused, words, data, tmp_path, monkeypatch, capsys):
    """Another table, another image in the folder, other contents under the same name, other options."""

    def stop(*given):
        raise KeyboardInterrupt

    shutil.copytree(data / "images", tmp_path / "in")
    (tmp_path / "t.csv").write_text("filename\n" + "\n".join(f"in/utm {n:02d}.tif" for n in (1, 3, 5)) + "\n")
    with monkeypatch.context() as patch:
        patch.setattr("geomoe.inference.files._ask", stop)
        assert main([*words, "in", "--output", "out.csv"]) == 130
    message = "out.csv.partial: partial results of other inputs, options or another checkpoint; delete it"
    resume = ("--output", "out.csv", "--resume")
    assert message in refused(*words, "t.csv", *resume)
    assert message in refused(*words, "in", "--tile", "12", *resume)
    shutil.copy(tmp_path / "in/utm 01.tif", tmp_path / "in/zz.tif")
    assert message in refused(*words, "in", *resume)
    (tmp_path / "in/zz.tif").unlink()
    before = (tmp_path / "in/utm 01.tif").stat()
    shutil.copy(tmp_path / "in/utm 03.tif", tmp_path / "in/utm 01.tif")
    assert message in refused(*words, "in", *resume)
    shutil.copy(data / "images/utm 01.tif", tmp_path / "in/utm 01.tif")
    os.utime(tmp_path / "in/utm 01.tif", ns=(before.st_atime_ns, before.st_mtime_ns))
    capsys.readouterr()
    assert main([*words, "in", *resume]) == 0


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out.geojson", "out.tif"])
def test_a_disk_that_is_full_at_the_end_costs_no_answers(
    words, predict, tmp_path, monkeypatch, capsys, output
):
    def full(source, target, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    scene(tmp_path / "a.tif")
    argv = ["a.tif", "--output", output]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main([*words, *argv]) == 2
    line = capsys.readouterr().err
    assert line.endswith(
        f"{output}: cannot be written: No space left on device; make room for it, then go on with --resume\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", f"{output}.partial"]
    told = predict(*argv, "--resume")
    assert told["resumed"] == told["predicted"]
    predict("a.tif", "--output", f"whole/{output}")
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_killed_before_the_first_answer_it_begins_anew(predict, data, tmp_path):
    (tmp_path / "out.csv.partial").write_text('{"key": "0123')
    assert predict(data / "clean.csv", "--output", "out.csv", "--resume")["predicted"] == "72"
    (tmp_path / "out.csv.partial").touch()
    assert predict(data / "clean.csv", "--output", "out.csv", "--resume")["predicted"] == "72"
