"""iWildCam in WILDS' layout: every row against a plain reading of the files, and every refusal."""

from __future__ import annotations

import csv
import json
import logging
import math
import pickle
import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from geomoe.datasets.iwildcam.reader import IWildCam, IWildCamDataModule
from geomoe.datasets.samples import iwildcam as sample
from geomoe.errors import ConfigError, CoordinateError, DataError, DatasetNotFoundError

SPLITS = ("train", "val", "test", "id_val", "id_test")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def table(root):
    with (root / sample.FOLDER / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def own(root, tmp_path):
    """A copy that may be spoilt; ``change`` rewrites one cell of every row of metadata.csv."""
    shutil.copytree(root / sample.FOLDER, tmp_path / sample.FOLDER)
    return tmp_path


def change(own, column, new, file="metadata.csv"):
    path = own / sample.FOLDER / file
    with path.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    for number, row in enumerate(rows):
        row[column] = new(number, row[column])
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_is_that_of_the_files(root, table, split):
    data = IWildCam(root, split)
    names = {int(y): name for y, _, name in sample.CLASSES}
    wanted = [(number, row) for number, row in enumerate(table) if row["split"] == split]
    assert len(data) == len(wanted) > 30
    for index, (number, row) in enumerate(wanted):
        camera = int(row["location"])
        assert data.rows[index] == number
        assert data.classes[data.labels[index]] == names[int(row["y"])]
        assert data.regions[data.domains[index]] == f"camera {camera}"
        assert data.domains[index] == int(row["location_remapped"])
        assert data.blocks[index] == int(row["sequence_remapped"])
        assert data.filenames[index] == row["filename"]
        assert data.extra["location"][index] == camera
        taken = datetime.strptime(row["datetime"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        assert data.extra["timestamp"][index] == pytest.approx(taken.timestamp(), abs=1e-6)
        place = sample.PLACES.get(camera, (math.nan, math.nan))  # by the raw id, never the remapped one
        assert np.array_equal(data.lonlat[index], place, equal_nan=True)
    assert len(data.classes) == 9
    assert len(data.regions) == 13


def test_the_sample_has_its_traps(table):
    raw, remapped = ({int(row[key]) for row in table} for key in ("location", "location_remapped"))
    assert remapped == set(range(13))
    assert raw & remapped - {2}  # ids that mean one camera raw and another remapped
    assert raw - set(sample.PLACES)
    assert set(sample.PLACES) - raw
    both = [row for row in table if int(row["location_remapped"]) in sample.PLACES]
    assert any(row["location"] != row["location_remapped"] for row in both)
    assert [row[""] for row in table] != sorted((row[""] for row in table), key=int)
    assert [row["split"] for row in table] != sorted(row["split"] for row in table)
    cameras = {split: {row["location"] for row in table if row["split"] == split} for split in SPLITS}
    assert cameras["train"] == cameras["id_val"] == cameras["id_test"]
    assert not cameras["train"] & (cameras["val"] | cameras["test"])
    labels = {split: {int(row["y"]) for row in table if row["split"] == split} for split in SPLITS}
    assert (labels["train"] - labels["test"], labels["test"] - labels["train"]) == ({1, 3, 6}, {8})


def test_a_sample_and_its_picture(root):
    data = IWildCam(root, "train")
    for index in range(len(data)):
        with Image.open(root / sample.FOLDER / "train" / data.filenames[index]) as image:
            grey, want = image.mode == "L", np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        if grey or index < 2:
            found = data[index]
            assert np.array_equal(found["image"].numpy(), want)
            assert found["image"].dtype == torch.float32
        if grey:
            break
    assert grey
    assert all(isinstance(value, torch.Tensor) for value in found.values())
    assert set(found) == {
        "image", "label", "lon", "lat", "domain", "index", "timestamp", "location", "sequence",
    }  # fmt: skip
    batch = IWildCam(root, "train", image_size=24).read([0, 5, 9])
    assert batch["image"].shape == (3, 3, 24, 24)  # cameras have pictures of several widths


def test_places_are_counted(root, caplog):
    with caplog.at_level(logging.INFO):
        data = IWildCam(root, "test")
    known = int((~np.isnan(data.lonlat[:, 0])).sum())
    assert 0 < known < len(data)
    assert f"iwildcam test: 1 of 3 cameras and {known} of {len(data)} pictures have a place" in caplog.text


def test_without_places(root):
    data = IWildCam(root, "val", gps=None)
    assert np.isnan(data.lonlat).all()
    assert data.data_hash != IWildCam(root, "val").data_hash == IWildCam(root, "test").data_hash
    assert data.image_key == IWildCam(root, "test").image_key  # one cache of pictures serves both


def test_places_may_lie_above_the_folder_or_anywhere(own):
    want = IWildCam(own, "train").lonlat
    path = (own / sample.FOLDER / "gps_locations.json").rename(own / "gps_locations.json")
    assert np.array_equal(IWildCam(own, "train").lonlat, want, equal_nan=True)
    path = path.rename(own / "elsewhere.json")
    assert np.array_equal(IWildCam(own / sample.FOLDER, "train", gps=path).lonlat, want, equal_nan=True)


def test_it_goes_to_worker_processes(root):
    data = IWildCam(root, "val", image_size=16)
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3]["image"], data[3]["image"])


def test_a_table_that_changes_is_read_again(own):
    before = IWildCam(own, "train")
    change(own, "y", lambda number, value: "1" if value == "0" else value)
    after = IWildCam(own, "train")
    assert (before.labels == 0).sum() == (after.labels != before.labels).sum() > 0
    assert before.data_hash != after.data_hash


def test_cameras_that_a_router_of_ids_can_know(root, table):
    module = IWildCamDataModule(root, image_size=16, metadata="gps_locations.json")
    info = module.info()
    trained = {int(row["location_remapped"]) for row in table if row["split"] == "train"}
    assert info["train_domains"] == sorted(trained)
    assert len(info["domains"]) == 13
    json.dumps(info)
    for split in SPLITS:
        assert len(module.dataset(split)) == len(IWildCam(root, split))


def test_nothing_is_held_out(root):
    with pytest.raises(ConfigError, match=r"data.held_out: iwildcam's val and test are cameras"):
        IWildCamDataModule(root, held_out="camera 5").dataset("train")


def test_it_is_not_there(tmp_path, own):
    with pytest.raises(
        DatasetNotFoundError, match=r"no metadata.csv in .*iwildcam_v2.0 or .*data download iwildcam"
    ) as told:
        IWildCam(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert "\n" not in str(told.value)
    with pytest.raises(
        ConfigError, match="split: iwildcam has train, val, test, id_val, id_test; got 'tset'"
    ):
        IWildCam(own, "tset")
    (own / sample.FOLDER / "gps_locations.json").unlink()
    with pytest.raises(
        DatasetNotFoundError, match=r"data download iwildcam.*--data.metadata null goes without places"
    ):
        IWildCam(own)
    (own / sample.FOLDER / "categories.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"has metadata.csv but no categories.csv"):
        IWildCam(own)
    shutil.rmtree(own / sample.FOLDER / "train")
    (own / sample.FOLDER / "categories.csv").touch()
    with pytest.raises(DatasetNotFoundError, match="but no train: an incomplete copy"):
        IWildCam(own)


def at(row, new):
    return lambda number, value: new if number == row else value


def both(one, other):
    return lambda _, value: str(one) if value == str(other) else value


@pytest.mark.parametrize(
    ("column", "new", "message"),
    [
        ("split", at(3, "Train"), r"line 5: split 'Train' is none of train, val, .* \(1 such rows\)"),
        ("y", at(7, "two"), r"line 9: y 'two' is not a whole number of 0 or more"),
        ("y", at(0, ""), r"line 2: y '' is not a whole number"),
        ("y", at(7, "-1"), r"line 9: y '-1' is not a whole number"),
        ("y", at(7, "9"), r"categories.csv: has no class y = 9, which metadata.csv uses"),
        ("location", at(7, "1.5"), r"line 9: location '1.5' is not a whole number"),
        ("location", at(7, "999"), r"location_remapped \d+ goes with several cameras"),
        ("location", both(5, 2), r"location 5 goes with several cameras"),
        (
            "location_remapped",
            both(13, 4),
            r"location_remapped has no 4 but goes to 13",
        ),
        ("datetime", at(1, "yesterday"), r"line 3: datetime 'yesterday' is no date and time"),
        ("filename", lambda k, name: "a.jpg" if k in (2, 9) else name, "line 11: filename 'a.jpg' comes"),
    ],
)  # fmt: skip
def test_a_damaged_table(own, column, new, message):
    change(own, column, new)
    with pytest.raises(DataError, match=message) as told:
        IWildCam(own)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metadata.csv", "", r"metadata.csv: not a csv file with columns: it is empty"),
        ("metadata.csv", "split,y\ntrain,0\n", "has no column datetime, filename, location_remap"),
        ("metadata.csv", None, r"metadata.csv: has no rows"),
        ("categories.csv", "y,name\n0,a\n" + "".join(f"{k},a\n" for k in range(9)), "y = 0 comes twice"),
        ("gps_locations.json", "[1, 2]", r"not a file of camera places \(AttributeError"),
        ("gps_locations.json", "{", r"not a file of camera places \(JSONDecodeError"),
        ("gps_locations.json", '{"five": {"latitude": 1, "longitude": 2}}', "ValueError: invalid .*five"),
        ("gps_locations.json", '{"5": {"lat": 1, "lon": 2}}', r"KeyError: 'longitude'"),
        ("gps_locations.json", '{"4": {"latitude": 1, "longitude": 2}}', "none of its 1 cameras is one of"),
        ("gps_locations.json", "{}", r"none of its 0 cameras"),
    ],
)  # fmt: skip
def test_damaged_files(own, file, content, message):
    path = own / sample.FOLDER / file
    path.write_text(path.read_text().splitlines()[0] + "\n" if content is None else content)
    with pytest.raises(DataError, match=message) as told:
        IWildCam(own)
    assert "\n" not in str(told.value)


def test_classes_of_one_name_can_be_told_apart(own):
    path = own / sample.FOLDER / "categories.csv"
    table = pd.read_csv(path)
    table.loc[1, "name"] = table.loc[0, "name"]
    table.to_csv(path, index=False)
    classes = IWildCam(own, "train").classes
    assert classes[:2] == ("empty (0)", "empty (1)")
    assert len(set(classes)) == len(classes)


def test_an_impossible_place(own):
    path = own / sample.FOLDER / "gps_locations.json"
    path.write_text('{"2": {"latitude": 1, "longitude": 2}, "5": {"latitude": 117, "longitude": 2}}')
    with pytest.raises(
        CoordinateError, match=r"gps_locations.json.*latitude beyond 90 .*row 1 has lon=2, lat=117"
    ):
        IWildCam(own)


def test_a_damaged_picture_is_named_when_it_is_read(own):
    data = IWildCam(own, "train")
    path = own / sample.FOLDER / "train" / data.filenames[4]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=str(data.filenames[4])):
        data.read([3, 4])
    assert data[3]["label"] == data.labels[3]
