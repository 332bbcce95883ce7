"""Images without a table: the names of folders are the classes."""

from __future__ import annotations

import json
import logging
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from geomoe.cli import main
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.samples.folder import CLASSES, write
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError
from geomoe.reading.class_folders import class_folders


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample of a folder, and its clean table."""
    folder = tmp_path_factory.mktemp("sample")
    write(folder)
    return folder, pd.read_csv(folder / "clean.csv")


@pytest.fixture
def classes(sample, tmp_path):
    """The images of two domains of the sample in one folder for each class, and what is known of them."""
    source, table = sample
    table = table[table["domain"].isin(["degrees", "utm"])].copy()
    table["name"] = table["label"] + "/deep/" + table["filename"].str.rpartition("/")[2]
    for row in table.itertuples():
        path = tmp_path / "data" / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / row.filename, path)
    return tmp_path / "data", table.set_index("name")


def module(folder, **options):
    return FolderDataModule(folder, image_size=24, batch_size=4, augment="none", **options)


@pytest.mark.slow
def test_folders_are_classes_and_georeferences_are_places(classes, caplog):
    folder, known = classes
    with caplog.at_level(logging.INFO):
        index = module(folder).index
    assert index.classes == tuple(sorted(CLASSES))
    assert index.filename.tolist() == sorted(known.index)
    rows = known.loc[index.filename]
    assert [index.classes[number] for number in index.columns.label] == rows["label"].tolist()
    np.testing.assert_allclose(index.columns.lonlat, rows[["lon", "lat"]].to_numpy(), atol=1e-6)
    assert index.domains == ("all",)
    assert {"train", "val", "test"} <= set(index.split)
    assert (folder.parent / "data.geomoe/split-v2-0.csv").is_file()
    assert "3 classes by the names of its folders, 36 images: crops, irrigated (12)" in caplog.text
    assert "36 of 36 images have a place, by their georeference" in caplog.text
    assert module(folder).index.data_hash == index.data_hash


def test_folders_of_splits_hold_class_folders(classes):
    folder, known = classes
    shutil.move(folder, folder.parent / "whole")
    for number, name in enumerate(sorted(known.index)):
        path = folder / ("train", "val", "test")[number % 3] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder.parent / "whole" / name, path)
    table = class_folders(folder)
    wanted = {
        f"{('train', 'val', 'test')[n % 3]}/{name}": n % 3 for n, name in enumerate(sorted(known.index))
    }
    assert set(table.filename) == set(wanted)
    assert [("train", "val", "test").index(split) for split in table.split] == [
        wanted[name] for name in table.filename
    ]
    assert set(table.label) == set(CLASSES)
    assert len(module(folder).rows("val")) == 12


def test_what_is_left_out_is_listed(classes, sample):
    folder, _ = classes
    shutil.copy(sample[0] / "images/degrees_00.TIF", folder / "stray.tif")
    (folder / "sand/truncated.tif").write_bytes(b"")
    os.symlink(sample[0] / "images", folder / "sand/elsewhere")
    for name in (".hidden", "__MACOSX", "empty"):
        (folder / name).mkdir()
    shutil.copy(folder / "stray.tif", folder / ".hidden/a.tif")
    (folder / "sand/notes.txt").write_text("no image")
    (folder / "sand/mosaic.vrt").write_text("<VRTDataset/>")  # read only where it is asked for
    index = module(folder).index
    reasons = {skip.filename: skip.reason for skip in index.skipped}
    assert set(reasons) == {"stray.tif", "sand/truncated.tif", "sand/elsewhere"}
    assert reasons["stray.tif"] == "lies in no class folder"
    assert "leads out" in reasons["sand/elsewhere"]
    assert len(index.filename) == 36
    asked = module(folder, allow_vrt=True).index
    assert "sand/mosaic.vrt" in {skip.filename for skip in asked.skipped}


def test_reports_and_maps_of_geomoe_are_no_classes(classes):
    folder, known = classes
    image = folder / next(iter(known.index))
    for made in (("report/report.json", "report/confusion.png"), ("map/experts.json", "map/experts.tif")):
        for name in made:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(image, folder / name)
    table = class_folders(folder)
    assert sorted(table.filename) == sorted(known.index)
    assert [skip.filename for skip in table.skipped] == ["map/experts.tif", "report/confusion.png"]
    assert {skip.reason for skip in table.skipped} == {"of a report or map of geomoe; move its folder out"}
    (folder / "report/report.json").unlink()  # nothing says that it is a report: a class
    assert "report" in set(class_folders(folder).label)


def _one_class(folder):
    for name in list(CLASSES)[1:]:
        shutil.rmtree(folder / name)
    (folder / "points.csv").write_text("filename,label\n")


def _flat(folder):
    for name in list(CLASSES):
        for path in (folder / name / "deep").iterdir():
            shutil.move(path, folder / f"{name} {path.name}")
        shutil.rmtree(folder / name)


def _some_splits(folder):
    for name, new in zip(list(CLASSES), ("Train", "test", "valid"), strict=True):
        (folder / name).rename(folder / new)


def _mostly_stray(folder):
    for path in (folder / "sand/deep").iterdir():
        shutil.move(path, folder / path.name)


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _one_class,
            "found 12 images and one folder of images alone, crops, irrigated; give --metadata points.csv",
        ),
        (_flat, "found 36 images and no class folder; give --metadata FILE"),
        (_empty, "found no image and no class folder; give --metadata FILE"),
        (
            _some_splits,
            r"look like splits \(Train, test, valid\), not like classes; name them train",
        ),
        (_mostly_stray, "12 of 36 rows cannot be used .*; 12 like degrees.*: lies in no class folder"),
    ],
)
def test_folders_that_are_no_classes_are_refused(classes, change, message):
    folder, _ = classes
    change(folder)
    with pytest.raises(DataError, match=message):
        _ = module(folder).index


def test_columns_need_a_table_and_the_whole_disk_is_no_folder(classes):
    with pytest.raises(ConfigError, match="country is of a table, and there is none"):
        _ = module(classes[0], domain_by="country").index
    with pytest.raises(DatasetNotFoundError, match="/ is the root of the file system"):
        _ = module("/").index


@pytest.mark.slow
def test_the_verbs_take_class_folders(classes, tmp_path, monkeypatch, capsys):
    folder, _ = classes
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "cache"))
    own = ["folder", "--data-root", str(folder), "--model.image_size", "16"]
    assert main(["data", "check", *own, "--json", "--quiet"]) == 0
    assert _samples(capsys) == 36
    assert main(["data", "cache", *own, "--quiet"]) == 0
    assert main(["train", *own, "--dry-run", "--quiet"]) == 0
    (checkpoint,) = (tmp_path / "runs").rglob("best.ckpt")
    answers = tmp_path / "answers.csv"
    capsys.readouterr()
    assert main(["predict", str(folder), "--checkpoint", str(checkpoint), "--output", str(answers)]) == 0
    assert len(pd.read_csv(answers)) == 36


def _samples(capsys):
    """How many images the printed check has seen in all splits."""
    return sum(split["samples"] for split in json.loads(capsys.readouterr().out)["splits"].values())
