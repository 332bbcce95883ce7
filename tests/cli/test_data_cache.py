"""``geomoe data check`` and ``geomoe data cache`` on files: what is listed, and that runs read the cache."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from geomoe.build import build_datamodule
from geomoe.cli import main
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.datasets.cache import make as make_cache
from geomoe.errors import DataError
from tests import forked
from tests.cli import slow_verbs
from tests.samples import write_sample

SMALL = (
    *("--algorithm", "erm", "--model.backbone", "vit_quick", "--model.image_size", "32"),
    *("--model.weights", "null", "--data.num_workers", "0", "--trainer.precision", "32-true"),
    *("--trainer.loggers", "csv", "--quiet"),
)
#: Data set of pictures -> the split in which an image breaks, which file that is, and the size of a batch.
PICTURES = {
    "fmow": ("id_test", lambda part: f"images/rgb_img_{part.rows[2]}.png", "16"),
    "iwildcam": ("id_val", lambda part: f"train/{part.filenames[2]}", "16"),
    "pacs": ("train", lambda part: part.files[2], "9"),
}


@pytest.fixture(autouse=True)
def _own_caches(monkeypatch, tmp_path):
    monkeypatch.setattr(make_cache, "CHUNK", 16)
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))


def ask(capsys, *argv, status=0):
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([*map(str, argv), "--json", "--quiet"]) == status
    return json.loads(capsys.readouterr().out)


def module(name):
    """The data module of a run on the sample."""
    settings = {"data.root": "small", "model.image_size": 32}
    flags = [Setting(key, value, "") for key, value in settings.items()]
    return build_datamodule(load(name, flags=flags, environment={}))


def everything(data):
    """Images of every split, by split."""
    parts = {split: data.dataset(split) for split in data.split_names()}
    return {split: part.read(range(len(part)))["image"] for split, part in parts.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_checked_cached_and_read_from_the_cache(name, capsys, tmp_path):
    write_sample(name, tmp_path / "small")
    split, file_of, batch = PICTURES[name]
    expected, part = everything(module(name)), module(name).dataset(split)
    (broken,) = (tmp_path / "small").glob(f"*/{file_of(part)}")
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    argv = (name, "--data-root", "small", "--workers", "2")
    checked = ask(capsys, "data", "check", *argv, status=1)
    made = [ask(capsys, "data", "cache", *argv, "--model.image_size", "32") for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["images"] == checked["looked_at"]
    assert (made[0]["type"], made[0]["shape"]) == ("uint8", [3, 32, 32])
    for told in (checked, made[0]):
        (found,) = told["unreadable"]
        assert found["row"] == part.rows[2]
        assert f"{broken.name}: cannot read the image" in found["problem"]
    with pytest.raises(DataError, match=broken.name):
        module(name).dataset(split).read([0, 2])
    broken.write_bytes(whole)  # mended: the one image that is still read from its file
    spoil(tmp_path / "small", broken)
    for key, images in everything(module(name)).items():
        assert torch.equal(images, expected[key].round())
    run = ("train", name, "--data-root", "small", "--data.batch_size", batch, *SMALL, "--dry-run")
    assert main([*run, "--output", "runs"]) == 0
    shutil.rmtree(made[0]["cache"])
    assert main([*run, "--output", "other"]) == 2


def spoil(folder, but):
    """No image can be read any more, but one; their times are those of before."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in (".png", ".jpg", ".tif") and path.stat().st_size and path != but:
            stat = path.stat()
            path.write_bytes(bytes(stat.st_size))
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# --- somebody's own images ----------------------------------------------------------------------

FOLDER = ("folder", "--data-root", "small", "--metadata", "clean.csv")


@pytest.fixture
def small(tmp_path):
    write_sample("folder", tmp_path / "small")
    return tmp_path / "small"


def rewrite(folder, change):
    """Other pixels in every image of the table."""
    for name in names_of(folder, ""):
        with rasterio.open(folder / name) as source:
            values, profile = change(source.read()), source.profile
        profile.update(dtype=values.dtype, nodata=None)
        with rasterio.open(folder / name, "w", **profile) as file:
            file.write(values)


def cut_inside(path):
    """Spoil the pixels in the middle of a file whose header and last pixel stay as they are."""
    with rasterio.open(path) as source:
        values, profile = source.read(), source.profile
    profile.update(blockysize=4, tiled=False)
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    with rasterio.open(path) as source:
        inside = int(source.get_tag_item("BLOCK_OFFSET_0_2", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[inside : inside + 20] = bytes(20)
    path.write_bytes(content)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_cache_of_a_folder_is_killed_and_finished(workers, small, tmp_path, capsys):
    argv = ("data", "cache", *FOLDER, "--workers", workers)
    process = forked.start(slow_verbs.cache, [*argv, "--quiet"])
    journal = []

    def begun():
        journal[:] = (tmp_path / "caches/images").glob("*.partial/done.jsonl")
        return journal and journal[0].read_text().endswith("\n")

    forked.until(begun, process)
    forked.killed(process)
    chunks = [json.loads(line)["chunk"] for line in journal[0].read_text().splitlines()]
    assert 0 < len(chunks) < 5
    made = ask(capsys, *argv)
    assert (made["images"], made["type"], made["shape"]) == (72, "uint16", [4, 64, 64])
    whole = {path.name: path.read_bytes() for path in Path(made["cache"]).iterdir()}
    shutil.rmtree(made["cache"])
    assert ask(capsys, *argv) == made
    assert {path.name: path.read_bytes() for path in Path(made["cache"]).iterdir()} == whole
    assert [path.name for path in (tmp_path / "caches/images").iterdir()] == [Path(made["cache"]).name]


def names_of(folder, split):
    with (folder / "clean.csv").open(encoding="utf-8", newline="") as file:
        return [row["filename"] for row in csv.DictReader(file) if split in ("", row["split"])]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_that_breaks_inside_is_listed(split, small, capsys):
    name = names_of(small, split)[1]
    cut_inside(small / name)
    made = ask(capsys, "data", "cache", *FOLDER)
    checked = ask(capsys, "data", "check", *FOLDER, status=1)
    assert (made["images"], checked["looked_at"]) == (72, 72)
    assert made["unreadable"] == checked["unreadable"]
    (found,) = made["unreadable"]
    assert f"{Path(name).name}: unreadable image" in found["problem"]
    assert main(["data", "cache", *FOLDER, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["unreadable  1", f"  row {found['row']}: {found['problem']}"]
    assert main(["train", *FOLDER, "--data.batch_size", "8", *SMALL, "--dry-run"]) == 2
    assert f"{Path(name).name}: unreadable image" in capsys.readouterr().err


def measurements(values):
    """Floats with a corner of one image in three without data."""
    values = values.astype(np.float32) / 7
    if values[0, 0, 0] % 3 < 1:
        values[:, :5, :5] = np.nan
    return values


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [(), ("--held-out", "utm")])
def test_a_folder_of_floats_trains_and_scores_the_same_from_the_cache(held_out, small, capsys, caplog):
    caplog.set_level("INFO", "geomoe")
    rewrite(small, measurements)
    run = ("train", *FOLDER, *held_out, "--data.batch_size", "8", *SMALL[:-1], "--dry-run")
    assert main([*run, "--output", "files"]) == 0
    assert "come from the cache" not in caplog.text
    (checkpoint,) = Path("files").rglob("best.ckpt")
    judge = ("evaluate", "--checkpoint", checkpoint, "--split", "test")
    plain = ask(capsys, *judge)
    made = ask(capsys, "data", "cache", *FOLDER, *held_out, "--model.image_size", "32")
    assert made["type"] == "float32"
    assert main([*run, "--output", "cached"]) == 0
    samples = len(names_of(small, "test"))
    assert f"folder test: {samples} of {samples} images come from the cache {made['cache']}" in caplog.text
    assert ask(capsys, *judge) == plain
    first, second = (next(Path(name).rglob("metrics.csv")).read_text() for name in ("files", "cached"))
    assert first == second
    spoil(small, None)  # of the same size and time as before
    assert main([*map(str, judge), "--quiet"]) == 2


@pytest.mark.slow
def test_a_held_out_domain_shares_the_cache_where_every_pixel_has_data(small, capsys):
    rewrite(small, lambda values: values)
    paths = [ask(capsys, "data", "cache", *FOLDER, *more) for more in ((), ("--held-out", "utm"))]
    assert paths[0] == paths[1]
    assert paths[0]["images"] == 72
    write_sample("folder", small)  # with pixels without data again
    with_gaps = ask(capsys, "data", "cache", *FOLDER, "--held-out", "utm")
    assert with_gaps["cache"] != paths[0]["cache"]
    assert with_gaps["images"] < 72  # this run does not see the held-out domain's training images


@pytest.mark.slow
def test_bands_and_sizes_have_caches_of_their_own(small, capsys):
    choices = ((), ("--data.bands", "3,1"), ("--model.image_size", "24"))
    made = [ask(capsys, "data", "cache", *FOLDER, *choice) for choice in choices]
    assert [one["shape"] for one in made] == [[4, 64, 64], [2, 64, 64], [4, 24, 24]]
    assert len({one["cache"] for one in made}) == 3
