"""Tables of images in other hands, with slips of the pen, and very many of them."""

from __future__ import annotations

import csv
import logging
import os
import shutil

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio

from geomoe.datasets.folder import scan as folder_scan
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.samples.folder import DOMAINS, EACH, write
from geomoe.errors import DataError
from tests import forked
from tests.datasets.folder import scan_worker

IMAGES = EACH * len(DOMAINS)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    write(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def module(folder, table="points.csv"):
    return FolderDataModule(folder, metadata=str(folder / table), image_size=24, batch_size=8, augment="none")


def edit(path, change):
    """Rewrite a CSV; ``change`` gets the list of rows, the header first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


# --- what is odd and legal ----------------------------------------------------------------------


def cells(change):
    """Rewrite every cell of the rows below the header; ``change`` gets the row and the folder."""

    def rewrite(path):
        edit(path, lambda rows: [change(row, path.parent) for row in rows[1:]])

    return rewrite


def content(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def put(place, value):
    return cells(lambda row, folder: row.__setitem__(place, value(row[place], folder)))


def spread(rows):
    for row in rows:
        row[:] = [f" {cell} " for cell in row]


SYNONYMS = {"train": "Training", "val": "validation", "test": "TEST"}
LEGAL = {
    "byte-order mark": content(lambda whole: b"\xef\xbb\xbf" + whole),
    "ends of lines": content(lambda whole: whole.replace(b"\r\n", b"\n")),
    "empty lines": content(lambda whole: whole.replace(b"\r\n", b"\r\n\r\n")),
    "no last end": content(lambda whole: whole.rstrip()),
    "spaces": lambda path: edit(path, spread),
    "from Windows": put(0, lambda name, folder: name.replace("/", "\\")),
    "absolute": put(0, lambda name, folder: str(folder / name)),
    "a detour": put(0, lambda name, folder: name.replace("images/", "images/../images/")),
    "lon to 360": put(2, lambda lon, folder: repr(float(lon) % 360)),
    "names of splits": put(5, lambda name, folder: SYNONYMS[name]),
    "columns turned": lambda path: edit(path, lambda rows: [row.reverse() for row in rows]),
    "more columns": lambda path: edit(path, lambda rows: [row.append("x" * 500) for row in rows]),
}


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL)
def test_the_same_table_in_another_hand(change, folder):
    expected = module(folder, "clean.csv").index
    change(folder / "clean.csv")
    found = module(folder, "clean.csv").index
    assert [os.path.realpath(folder / name) for name in found.filename] == [
        os.path.realpath(folder / name) for name in expected.filename
    ]
    np.testing.assert_allclose(found.columns.lonlat, expected.columns.lonlat, atol=1e-12)
    assert (found.columns.label == expected.columns.label).all()
    assert (found.columns.domain == expected.columns.domain).all()
    assert (found.split == expected.split).all()
    assert (found.classes, found.domains, found.skipped) == (expected.classes, expected.domains, [])


@pytest.mark.slow
def test_images_of_different_sizes_are_brought_to_one(folder):
    for number, name in enumerate(sorted((folder / "images").glob("utm*"))[:6]):
        with rasterio.open(name) as source:
            values, profile = source.read(), source.profile
        profile.update(height=10 + number, width=37)
        with rasterio.open(name, "w", **profile) as file:
            file.write(np.resize(values, (4, 10 + number, 37)))
    made = module(folder, "clean.csv")
    assert made.index.skipped == []
    train = made.dataset("train")
    images = train.read(range(len(train)))["image"]
    assert images.shape == (len(train), 4, 24, 24)
    assert images.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.__delitem__(slice(3, None)), "column split: no row says val, test .it has train"),
        (
            lambda rows: [rows.__delitem__(slice(3, None)), rows[0].__setitem__(5, "other")],
            "there are 2 units of images that stay together, too few for train, val and test",
        ),
        (lambda rows: [row.__setitem__(1, "NaN") for row in rows[1:30]], None),
        (
            lambda rows: [row.__setitem__(1, "nan") for row in rows[1:30]],
            "29 like row 1 .*the cell label is empty",
        ),
    ],
)
def test_few_rows_and_labels_that_say_nothing(change, message, folder):
    edit(folder / "clean.csv", change)
    if message is None:  # only what pandas itself writes for nothing is nothing
        assert "NaN" in module(folder, "clean.csv").index.classes
        return
    with pytest.raises(DataError, match=message):
        module(folder, "clean.csv").dataset("train")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (slice(1, 2), "data: band 2 holds no data in any training image; leave it out"),
        (slice(None), "holds no data: each pixel is nodata, masked or not finite; leave it out"),
    ],
)
def test_images_without_a_pixel_of_data_are_refused_when_there_is_no_other(bands, message, folder):
    for path in (folder / "images").glob("*[0-9].*"):
        with rasterio.open(path, "r+") as file:
            values = file.read()
            values[bands] = 0
            file.write(values)
    with pytest.raises(DataError, match=message):
        module(folder, "clean.csv").dataset("train")


def geo(folder, lon, lat, crs):
    """``g.parquet``: the rows of clean.csv with points."""
    known = pd.read_csv(folder / "clean.csv")
    points = geopandas.points_from_xy(lon(known), lat(known))
    frame = geopandas.GeoDataFrame(known.drop(columns=["lon", "lat"]), geometry=points, crs=crs)
    frame.to_parquet(folder / "g.parquet")
    return known


def test_points_without_crs_are_degrees_and_what_cannot_be_is_refused(folder):
    known = geo(folder, lambda k: k["lon"], lambda k: k["lat"], None)
    index = module(folder, "g.parquet").index
    np.testing.assert_allclose(index.columns.lonlat, known[["lon", "lat"]], atol=1e-9)
    geo(folder, lambda k: k["lon"] * 1e5, lambda k: k["lat"] * 1e5, None)  # metres
    with pytest.raises(
        DataError, match=r"has no CRS, and row 1 \(1.08218e\+06, 4.66187e\+06\) is not in degrees"
    ):
        module(folder, "g.parquet").dataset("train")
    geo(folder, lambda k: k["lat"], lambda k: k["lon"], "EPSG:4326")
    with pytest.raises(DataError, match="the columns lon and lat look swapped"):
        module(folder, "g.parquet").dataset("train")


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-60], lambda whole: b"", lambda whole: b"filename,label"]
)
def test_a_parquet_that_is_not_whole(damage, folder):
    path = folder / "points.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"points\.parquet: not a parquet file with columns: ") as caught:
        module(folder, "points.parquet").dataset("train")
    assert len(str(caught.value).splitlines()) == 1


# --- what is odd is said ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[3].__setitem__(1, "San d"), "'San d', 'sand' are different classes"),
        (lambda rows: rows[72].__setitem__(1, "san"), "no training image shows 'san'"),  # half a line
        (
            lambda rows: rows[72].__setitem__(5, "te"),
            "split 'te' (1 image) is none of train, val, test: is this a typing error?",
        ),
        (
            lambda rows: rows[1].__setitem__(5, "Trian"),
            "split 'trian' (1 image) is none of train, val, test: is this a typing error?",
        ),
    ],
)
def test_a_slip_of_the_pen_is_said_in_the_log(change, message, folder, caplog):
    module(folder, "clean.csv").dataset("train")
    assert not caplog.text
    edit(folder / "clean.csv", change)
    module(folder, "clean.csv").dataset("train")
    assert f"clean.csv: {message}" in caplog.text


@pytest.mark.parametrize("name", ["later", "test2", "id_val", "holdout"])
def test_a_split_of_ones_own_is_none(name, folder, caplog):
    edit(folder / "clean.csv", lambda rows: [row.__setitem__(5, name) for row in rows[1:4]])
    assert len(module(folder, "clean.csv").dataset(name)) == 3
    assert not caplog.text


# --- looking at very many images ----------------------------------------------------------------


@pytest.mark.slow
def test_looking_at_images_tells_how_far_it_is_and_goes_on_where_it_was(folder, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "geomoe")
    looked, header = [], folder_scan.read_header

    def stop_at(path, count):
        if len(looked) == count:
            raise KeyboardInterrupt
        looked.append(path.name)
        return header(path)

    monkeypatch.setattr(folder_scan, "_TELL", -1.0)
    monkeypatch.setattr(folder_scan, "read_header", lambda path: stop_at(path, 40))
    with pytest.raises(KeyboardInterrupt):
        module(folder).dataset("train")
    assert "looking at images: 40 of 71, " in caplog.text
    assert " s left" in caplog.text
    first = looked.copy()
    looked.clear()
    monkeypatch.setattr(folder_scan, "read_header", lambda path: stop_at(path, None))
    again = module(folder).index
    assert len(looked) == 71 - 40
    assert not set(looked) & set(first)
    looked.clear()
    shutil.rmtree(folder / "points.csv.geomoe")
    for found, expected in zip(again, module(folder).index, strict=True):
        np.testing.assert_equal(found, expected)
    assert len(looked) == 71


@pytest.mark.slow
def test_killed_while_it_looks_at_images_it_loses_little(folder):
    kept = folder / "clean.csv.geomoe/images.parquet"
    process = forked.start(scan_worker.slowly, folder / "clean.csv")
    forked.until(kept.exists, process)
    forked.killed(process)
    before = pd.read_parquet(kept)
    assert 0 < len(before) < IMAGES
    module(folder, "clean.csv").dataset("train")
    after = pd.read_parquet(kept)
    assert len(after) == IMAGES
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before, check_dtype=False)


@pytest.mark.slow
def test_what_an_earlier_run_knew_is_not_lost_by_one_that_is_stopped(folder, monkeypatch):
    module(folder, "clean.csv").dataset("train")
    whole = pd.read_parquet(folder / "clean.csv.geomoe/images.parquet").set_index("filename")
    os.utime(folder / "images/degrees 01.tif")  # the second row: to be looked at again

    def stop(path):
        raise KeyboardInterrupt

    header = folder_scan.read_header
    calls = iter([header, stop])
    os.utime(folder / "images/degrees 03.tif")
    monkeypatch.setattr(folder_scan, "read_header", lambda path: next(calls)(path))
    with pytest.raises(KeyboardInterrupt):
        module(folder, "clean.csv").dataset("train")
    kept = pd.read_parquet(folder / "clean.csv.geomoe/images.parquet").set_index("filename")
    assert set(kept.index) == set(whole.index)
    same = kept.loc[whole.index].drop(columns="changed")
    pd.testing.assert_frame_equal(same, whole.drop(columns="changed"), check_dtype=False)
