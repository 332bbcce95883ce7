"""MapInWild in torchgeo's layout: every row against a plain reading of the files, and every refusal."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
import torchgeo.datasets
from rasterio.warp import transform

from geomoe.cli import main
from geomoe.datasets.mapinwild.reader import MapInWild, MapInWildDataModule, measure
from geomoe.datasets.mapinwild.regions import REGIONS, regions_of
from geomoe.datasets.mapinwild.scenes import Scenes
from geomoe.datasets.samples import mapinwild as sample
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError

SPLITS = {"train": "train", "val": "validation", "test": "test"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sample.write(folder)
    return folder


@pytest.fixture
def own(root, tmp_path):
    """A copy that may be spoilt."""
    shutil.copytree(root / "mapinwild", tmp_path / "mapinwild")
    return tmp_path / "mapinwild"


def rewrite(path, **changes):
    with rasterio.open(path) as file:
        values, profile = file.read(), file.profile
    path.unlink()
    with rasterio.open(path, "w", **{**profile, **changes}) as file:
        file.write(values[: changes.get("count", len(values))])


def first_mask(own):
    return own / "mask" / "555500001.tif"


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_is_that_of_the_files(root, split):
    data = MapInWild(root, split)
    ids = pd.read_csv(root / "mapinwild" / "split_IDs.csv")[SPLITS[split]].dropna().astype(int).tolist()
    assert data.scenes.tolist() == ids
    for row, scene in enumerate(ids):
        with rasterio.open(root / "mapinwild" / "mask" / f"{scene}.tif") as file:
            mask, crs = file.read(1), file.crs
            x, y = file.xy(file.height / 2 - 0.5, file.width / 2 - 0.5)
        (lon,), (lat,) = transform(crs, "EPSG:4326", [x], [y])
        assert data.lonlat[row] == pytest.approx((lon, lat), abs=1e-9)
        inside = np.count_nonzero(mask)
        assert data.shares[row] == inside / mask.size
        assert data.labels[row] == (1 if 2 * inside > mask.size else 0)
        assert data[row]["share"].item() == data.shares[row]
    assert data.total == sum(sample.COUNTS.values())
    assert 0 < data.labels.mean() < 1
    assert (data.shares == 0.5).any(), "the sample has the case that the rule decides"


def test_domains_are_the_regions_that_the_places_lie_in(root):
    data = MapInWild(root, "train")
    told = [sample.PLACES[number % len(sample.PLACES)][2] for number in range(len(data))]
    assert [REGIONS[domain] for domain in data.domains] == told


def test_regions_of_places_by_hand():
    places = {
        (-0.1, 51.5): "Europe", (139.7, 35.7): "Asia", (-43.2, -22.9): "Americas", (18.4, -33.9): "Africa",
        (174.8, -41.3): "Oceania", (179.99, -17.8): "Oceania", (0.0, -89.0): "Other",
        (-30.0, 30.0): "Other",  # the middle of the Atlantic
    }  # fmt: skip
    found = [REGIONS[number] for number in regions_of(np.array(list(places)))]
    assert dict(zip(places, found, strict=True)) == places


@pytest.mark.slow
def test_images_are_those_of_torchgeos_class(root, tmp_path):
    """torchgeo itself reads the same folder, merged as its download merges it."""
    copy = tmp_path / "mapinwild"
    shutil.copytree(root / "mapinwild", copy)
    shutil.copytree(copy / "s2_summer_part1", copy / "s2_summer")
    shutil.copytree(copy / "s2_summer_part2", copy / "s2_summer", dirs_exist_ok=True)
    theirs = torchgeo.datasets.MapInWild(copy, ["mask", "s2_summer"], split="validation")
    ours = MapInWild(root, "val")
    merged = MapInWild(copy, "val")
    files = Scenes(root / "mapinwild", "val")
    assert len(theirs) == len(ours) == len(merged)
    for row in range(len(ours)):
        other = theirs[row]
        assert torch.equal(ours[row]["image"], other["image"])
        assert torch.equal(merged[row]["image"], other["image"])
        assert torch.equal(files[row]["image"], other["image"])
        assert ours.shares[row] == pytest.approx(other["mask"].mean().item(), abs=1e-7)
    assert ours.data_hash == merged.data_hash


def test_torchgeo_calls_what_is_replaced_here_in_both_versions():
    """0.8 passes md5, 0.10 sha256; both ask for the same parts and then for the ids of the column."""
    for name in ("_verify", "_load_raster"):
        assert name in vars(torchgeo.datasets.MapInWild)
        assert name in vars(Scenes)
    scenes = Scenes.__new__(Scenes)
    scenes.root = os.devnull
    for digest in ({"md5": "0"}, {"sha256": "0"}):
        assert scenes._verify(url="https://x/split_IDs/split_IDs.csv", **digest) is None
        with pytest.raises(DatasetNotFoundError, match="no folder"):
            scenes._verify(url="https://x/mask/mask.zip", **digest)


def test_an_archive_is_not_unpacked(own):
    shutil.rmtree(own / "mask")
    with zipfile.ZipFile(own / "mask.zip", "w") as file:
        file.writestr("mask/evil.txt", "x")
    with pytest.raises(DatasetNotFoundError, match=r"mapinwild: no folder .*mask; .*download=True"):
        MapInWild(own)
    assert not (own / "mask").exists()


def test_bands_are_chosen_by_number(root):
    every, some = MapInWild(root, "test"), MapInWild(root, "test", bands=(3, 2, 1))
    assert torch.equal(some[0]["image"], every[0]["image"][[2, 1, 0]])
    assert some.data_hash == every.data_hash
    assert some.image_key != every.image_key
    assert every.rgb == (2, 1, 0)
    assert some.rgb == (0, 1, 2)


@pytest.mark.parametrize("region", ["Africa", "Europe"])
def test_a_region_is_held_out(root, region):
    number = REGIONS.index(region)
    for split in ("train", "val"):
        whole, left = MapInWild(root, split), MapInWild(root, split, region)
        assert set(whole.rows[whole.domains != number].tolist()) == set(left.rows.tolist())
    test, out = MapInWild(root, "test", region), MapInWild(root, "held_out", region)
    assert test.rows.tolist() == MapInWild(root, "test").rows.tolist()
    assert out.rows.tolist() == test.rows[test.domains == number].tolist()


def test_statistics_are_those_of_the_training_images(root):
    data = MapInWild(root, "train", bands=(3, 8))
    values = torch.stack([data[row]["image"].double() for row in range(len(data))])
    mean, std = measure(data)
    assert torch.allclose(mean.double(), values.mean(dim=(0, 2, 3)), rtol=1e-6)
    assert torch.allclose(std.double(), values.std(dim=(0, 2, 3), correction=0), rtol=1e-5)
    module = MapInWildDataModule(root, bands=(3, 8))
    assert torch.equal(module.statistics()[0], mean)


def test_blocks_are_squares_of_six_degrees(root):
    data = MapInWild(root, "train")
    squares = [tuple(np.floor((place + np.array([180, 90])) / 6)) for place in data.lonlat]
    by_block = Counter(zip(data.blocks.tolist(), squares, strict=True))
    assert len(by_block) == len(set(squares)) == len(set(data.blocks.tolist()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "split: no such name of mapinwild 'tset'; did you mean test"),
        ({"split": "validation"}, "split: no such name of mapinwild 'validation'"),
        ({"held_out": "Afrika"}, "data.held_out: no such name of mapinwild 'Afrika'; did you mean Africa"),
        ({"protocol": "majority-v2"}, "data.protocol: no such name of mapinwild 'majority-v2'"),
        ({"bands": (0, 1)}, r"data.bands: mapinwild has bands 1 to 10; got \[0, 1\]"),
        ({"split": "held_out"}, "split: held_out needs data.held_out"),
    ],
)
def test_wrong_names_are_refused(root, options, message):
    with pytest.raises(ConfigError, match=message):
        MapInWild(root, **options)


def test_missing_files_are_named(own):
    with pytest.raises(DatasetNotFoundError, match=r"mapinwild: no split_IDs.csv in"):
        MapInWild(own.parent / "elsewhere")
    data = MapInWild(own, "train")
    gone = own / "s2_summer_part1" / "555500001.tif"
    gone.unlink()
    assert [path.name for path in data.absent_files()] == ["555500001.tif"]
    with pytest.raises(DataError, match=r"555500001.tif.*no such image.*1 missing of the 40"):
        MapInWildDataModule(own).setup("fit")
    first_mask(own).unlink()
    (own / "split_IDs.csv").touch()  # what was read is kept until this file changes
    os.utime(own / "split_IDs.csv", ns=(1, 1))
    with pytest.raises(DataError, match=r"555500001.tif: no such mask"):
        MapInWild(own)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"crs": None}, "no CRS"), ({"transform": rasterio.Affine.identity(), "crs": None}, "no georeference")],
)
def test_a_scene_without_a_place_is_refused(own, changes, reason):
    rewrite(first_mask(own), **changes)
    with pytest.raises(DataError, match=rf"555500001.tif: where the scene lies is not known \({reason}\)"):
        MapInWild(own)


def test_an_image_with_other_bands_is_refused(own):
    rewrite(own / "s2_summer_part1" / "555500001.tif", count=2)
    with pytest.raises(DataError, match=r"555500001.tif: has 2 bands; data.bands asks for 10"):
        MapInWild(own)[0]


def test_a_raster_that_leads_elsewhere_is_refused(own):
    first_mask(own).write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    with pytest.raises(DataError, match=r"555500001.tif: unreadable image: a VRT"):
        MapInWild(own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train,validation\n1,2\n", "has no column 'test'"),
        ("train,validation,test\n555500001,x7,1\n", "column 'validation' is no list of numbers"),
        ("train,validation,test\n", "has no scenes"),
        ("", "column 'train' is no list of numbers"),
        ("train,validation,test\n555500001,555500001,\n", r"scene 555500001 is listed twice \(train, val\)"),
        ("train,validation,test\n7,555501001,\n", "7.tif: no such mask"),
    ],
)
def test_a_spoilt_table_is_refused(own, text, message):
    (own / "split_IDs.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        MapInWild(own)


def test_a_pipe_is_refused(own):
    (own / "split_IDs.csv").unlink()
    os.mkfifo(own / "split_IDs.csv")
    with pytest.raises(DataError, match=r"split_IDs.csv"):
        MapInWild(own)


@pytest.mark.slow
def test_the_verbs_check_train_and_evaluate(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "check", "mapinwild", "--data-root", str(root), "--quiet"]) == 0
    flags = (
        *("--model.backbone", "vit_quick", "--model.image_size", "16", "--model.weights", "null"),
        *("--model.moge_blocks", "3", "--model.num_experts", "3", "--model.top_k", "2"),
        *("--data.batch_size", "16", "--data.num_workers", "0", "--trainer.max_epochs", "1"),
        *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--held-out", "Asia"),
    )
    assert main(["train", "mapinwild", "--data-root", str(root), *flags, "--quiet"]) == 0
    (checkpoint,) = tmp_path.glob("runs/mapinwild/moge/*/checkpoints/best.ckpt")
    argv = ["evaluate", "--checkpoint", str(checkpoint), "--data-root", str(root), "--split", "held_out"]
    capsys.readouterr()
    assert main([*argv, "--quiet"]) == 0
