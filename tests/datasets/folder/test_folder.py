"""Somebody's own images: what is read, what is skipped and listed, what is refused, what is made once."""

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
import torch
from torch.nn.functional import interpolate
from torchgeo.datasets import NonGeoDataset

from geomoe.checking.check import check
from geomoe.cli import main
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.samples.folder import CLASSES, DOMAINS, EACH, write
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError
from geomoe.reading.image_table import read_table
from geomoe.reading.skips import tolerance

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


def module(folder, table="points.csv", **options):
    options = {"image_size": 24, "batch_size": 8, "augment": "none", **options}
    return FolderDataModule(folder, metadata=str(folder / table), **options)


def truth(folder):
    return pd.read_csv(folder / "clean.csv").set_index("filename")


def edit(path, change):
    """Rewrite a CSV; ``change`` gets the list of rows, the header first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.slow
def test_places_come_from_the_images_where_the_table_has_none(folder):
    made = module(folder, "georeferenced.csv")
    known, index = truth(folder), made.index
    expected = known.loc[index.filename, ["lon", "lat"]].to_numpy()
    np.testing.assert_allclose(index.columns.lonlat, expected, atol=1e-6)
    assert len(index.filename) == IMAGES
    reasons = {skip.filename: skip.reason for skip in index.skipped}
    assert set(reasons) == {"images/empty.tif", "images/half.tif", "images/missing.tif", index.filename[5]}
    assert "0 bytes" in reasons["images/empty.tif"]
    assert reasons["images/missing.tif"] == "no such image"
    assert "twice" in reasons[index.filename[5]]
    listed = pd.read_csv(folder / "georeferenced.csv.geomoe/skipped.csv")
    assert set(listed["filename"]) == set(reasons)


def test_the_table_with_everything(folder, caplog):
    made = module(folder)
    index, known = made.index, truth(folder)
    assert index.classes == tuple(sorted(CLASSES))
    assert index.domains == tuple(sorted(DOMAINS))
    names = np.array(index.classes)[index.columns.label]
    assert (names == known.loc[index.filename, "label"]).all()
    domain = index.columns.domain
    assert (domain == -1).sum() == 1
    told = np.array(index.domains)[domain] == known.loc[index.filename, "domain"]
    assert (told | (domain == -1)).all()
    assert np.isnan(index.columns.lonlat[:, 0]).sum() == 1
    assert [(skip.row, skip.reason.partition(":")[0]) for skip in index.skipped] == [
        (9, "lon is not a number of degrees"),
        (10, "a latitude beyond 90 degrees (are lon and lat swapped?)"),
        (73, "has 3 bands"),
    ]
    stamps = {made.index.timestamp[i] for i in range(3)}
    day = pd.Timestamp("2021-05-31T00:00Z").timestamp()
    assert stamps == {day, day + 10 * 3600 + 900, day + 10 * 3600 + 900.25}
    assert "3 of 73 rows are left out, listed in" in caplog.text


@pytest.mark.slow
def test_country_codes_of_a_table(folder):
    """A column of codes comes with the samples, so that a check can judge it; Namibia's NA is a code."""
    assert module(folder, "clean.csv").dataset("train").countries == ()
    expected = {"degrees": "AUT", "utm": "CHL", "mercator": "IN", "polar": "NA"}

    def add(rows):
        rows[0].append("country_code")
        for number, row in enumerate(rows[1:]):
            row.append("" if number == 0 else expected[row[4]])

    edit(folder / "clean.csv", add)
    made = module(folder, "clean.csv")
    train = made.dataset("train")
    known = truth(folder).loc[train.filenames, "domain"].map(expected).tolist()
    known[list(train.filenames).index("images/degrees_00.TIF")] = None
    numbers = train.extra["country"]
    assert [train.countries[number] if number >= 0 else None for number in numbers] == known
    assert train[3]["country"] == numbers[3]
    found = check({"train": train}, images=0)
    assert found.countries["train"].not_judged == {"": 1}
    (odd,) = found.odd
    wrong = {train.regions[domain]: 0 for domain in range(4)}
    for domain in train.domains[odd.position]:
        wrong[train.regions[domain]] += 1
    assert wrong["mercator"] == 0  # India it is
    assert wrong["polar"] == (train.domains == train.regions.index("polar")).sum()  # Greenland, not Namibia


def test_points_of_a_geoparquet_in_any_crs(folder):
    index = module(folder, "points.parquet").index
    expected = truth(folder).loc[index.filename, ["lon", "lat"]].to_numpy()
    np.testing.assert_allclose(index.columns.lonlat, expected, atol=1e-8)


def test_samples_are_torchgeo_samples_with_the_pixels_of_the_files(folder):
    made = module(folder, "clean.csv", image_size=12)
    train = made.dataset("train")
    assert isinstance(train, NonGeoDataset)
    sample = train[0]
    with rasterio.open(folder / train.filenames[0]) as source:
        values = source.read().astype(np.float64)
    fill = made.measured.mean[:, None, None]
    values = np.where(values == 0, fill, values)
    expected = interpolate(torch.tensor(values)[None].float(), (12, 12), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(sample["image"], expected, rtol=1e-5, atol=1e-2)
    assert sample["image"].dtype == torch.float32
    assert sample["lon"].dtype == torch.float64
    batch = next(iter(made.train_dataloader()))
    ready = made.to_batch(batch)
    assert ready.image.shape == (8, 4, 12, 12)


@pytest.mark.slow
def test_statistics_are_those_of_the_valid_training_pixels_and_are_kept(folder, monkeypatch):
    made = module(folder, "clean.csv")
    train = made.dataset("train")
    pixels = []
    for name in train.filenames:
        with rasterio.open(folder / name) as source:
            values = source.read().reshape(4, -1).astype(np.float64)
        pixels.append(np.where(values == 0, np.nan, values))
    values = np.concatenate(pixels, axis=1)
    assert np.isnan(values).any()
    mean, std = made.statistics()
    np.testing.assert_allclose(mean, np.nanmean(values, axis=1), rtol=1e-6)
    np.testing.assert_allclose(std, np.nanstd(values, axis=1), rtol=1e-6)

    def never(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr("geomoe.datasets.folder.statistics.compute", never)
    monkeypatch.setattr("geomoe.datasets.folder.scan.read_header", never)
    again = module(folder, "clean.csv")
    assert again.info() == made.info()
    with pytest.raises(AssertionError, match="measured again"):
        module(folder, "clean.csv", held_out="utm").statistics()  # other training images


@pytest.mark.slow
def test_statistics_are_measured_again_when_pixels_change_and_sizes_do_not(folder):
    before = module(folder, "clean.csv")
    path = folder / before.dataset("train").filenames[0]
    with rasterio.open(path) as source:
        values, profile = source.read(), source.profile
    del profile["compress"]
    means = []
    for number, pixels in enumerate((values, values // 2)):
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels)
        os.utime(path, ns=(number, number))
        means.append((path.stat().st_size, module(folder, "clean.csv").measured.mean))
    assert means[0][0] == means[1][0]
    assert (means[0][1] > means[1][1]).all()


@pytest.mark.slow
def test_statistics_do_without_images_that_cannot_be_read_and_are_not_kept_then(folder, monkeypatch, caplog):
    from geomoe.datasets.folder import statistics as folder_statistics

    read, made = folder_statistics.read_bands, module(folder, "clean.csv")
    names = made.index.filename[made.rows("train")]

    def sometimes(source, *given):
        if source.name.endswith(names[2]):
            raise DataError(f"{source.name}: unreadable image: torn")
        return read(source, *given)

    monkeypatch.setattr(folder_statistics, "read_bands", sometimes)
    broken = made.measured
    assert broken.images == len(names) - 1
    assert f"1 of {len(names)} training images cannot be read; the first: " in caplog.text
    with pytest.raises(DataError, match=r"torn \(1 of the training images cannot be read; geomoe"):
        made.info()
    monkeypatch.setattr(folder_statistics, "read_bands", read)
    whole = module(folder, "clean.csv").measured
    assert whole.images == len(names)
    assert (whole.mean != broken.mean).all()

    def never(*given):
        raise DataError("torn")

    (folder / "clean.csv.geomoe/statistics.json").unlink()
    monkeypatch.setattr(folder_statistics, "read_bands", never)
    with pytest.raises(DataError, match=r"^torn$"):
        module(folder, "clean.csv").dataset("train")


@pytest.mark.slow
def test_an_image_that_changed_is_looked_at_again(folder):
    before = module(folder, "clean.csv")
    name = before.dataset("train").filenames[0]
    shutil.copy(folder / "images/three bands.tif", folder / name)
    after = module(folder, "clean.csv")
    assert name not in after.index.filename
    assert after.info()["data_hash"] != before.info()["data_hash"]


def test_a_split_is_made_in_blocks_written_and_reused(folder):
    made = module(folder, "georeferenced.csv")
    path = folder / "georeferenced.csv.geomoe/split-v2-0.csv"
    split, block = made.index.split, made.index.columns.block
    for unit in np.unique(block):
        assert len(set(split[block == unit])) == 1
    kept = pd.read_csv(path).set_index("filename")
    assert (kept.loc[made.index.filename, "split"] == split).all()
    before = path.stat().st_mtime_ns
    assert (module(folder, "georeferenced.csv").index.split == split).all()
    assert path.stat().st_mtime_ns == before
    other = module(folder, "georeferenced.csv", split_seed=1).index.split
    assert (other != split).any()
    counts = {name: (split == name).sum() / len(split) for name in ("train", "val", "test")}
    assert counts == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.06)


def test_new_rows_change_no_old_one(folder):
    path = folder / "georeferenced.csv"
    whole = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(whole[:50]), encoding="utf-8")
    before = dict(zip(*(module(folder, path.name).index[i] for i in (0, 2)), strict=True))
    path.write_text("".join(whole), encoding="utf-8")
    index = module(folder, path.name).index
    after = dict(zip(index.filename, index.split, strict=True))
    assert len(after) > len(before)
    assert {name: after[name] for name in before} == before
    for unit in np.unique(index.columns.block):
        assert len(set(index.split[index.columns.block == unit])) == 1


def test_held_out_leaves_a_domain_out_of_training_and_selection(folder):
    made = module(folder, held_out="polar")
    polar = made.index.domains.index("polar")
    for split in ("train", "val"):
        assert polar not in made.dataset(split).domains
    assert set(made.dataset("held_out").domains) == {polar}
    assert len(made.dataset("test")) > len(made.dataset("held_out")) > 0
    made.write_index(folder)
    used = pd.read_csv(folder / "samples.csv")["split"]
    assert (used == "train").sum() == len(made.dataset("train"))
    assert (used == "val").sum() == len(made.dataset("val"))
    assert set(made.index.columns.domain[used == "left_out"]) == {polar}
    with pytest.raises(ConfigError, match="no domain 'Asia'"):
        module(folder, held_out="Asia").dataset("train")
    with pytest.raises(ConfigError, match="holds no domain out"):
        module(folder).dataset("held_out")
    with pytest.raises(ConfigError, match="no split 'tset'; did you mean test"):
        module(folder).dataset("tset")


def test_a_domain_a_class_and_a_column_may_be_called_null(folder, caplog):
    table = pd.read_csv(folder / "clean.csv")
    table["domain"] = ["null" if k % 2 else "ring" for k in range(len(table))]
    table["label"] = [("null", "NA")[k % 2] for k in range(len(table))]
    table["null"] = [f"of {k % 2}" for k in range(len(table))]
    table.to_csv(folder / "nulls.csv", index=False)

    made = module(folder, "nulls.csv")
    assert made.index.classes == ("NA", "null")
    assert set(made.index.domains) == {"null", "ring"}
    assert "a domain is called 'null', and it is trained on" in caplog.text
    caplog.clear()
    made = module(folder, "nulls.csv", held_out="null")
    assert made.index.domains.index("null") not in made.dataset("train").domains
    assert "called 'null'" not in caplog.text
    assert set(module(folder, "nulls.csv", domain_by="null").index.domains) == {"of 0", "of 1"}


@pytest.mark.slow
def test_bands_are_chosen_by_number_and_mixed_counts_then_fit(folder):
    made = module(folder, bands=(3, 1))
    assert made.info()["bands"] == 2
    assert "images/three bands.tif" in made.index.filename
    train = made.dataset("train")
    with rasterio.open(folder / train.filenames[0]) as source:
        values = source.read([3, 1])
    kept = values != 0
    np.testing.assert_array_equal(train[0]["image"].numpy()[kept], values[kept])
    with pytest.raises(DataError, match=r"data\.bands asks for band 9"):
        module(folder, bands=(9,)).dataset("train")
    with pytest.raises(DataError, match="counted from 1; got 0"):
        module(folder, bands=(0,)).dataset("train")


def test_another_column_may_be_the_domain(folder):
    edit(folder / "points.csv", lambda rows: rows[0].__setitem__(4, "country"))
    assert module(folder).index.domains == ("all",)
    assert module(folder, domain_by="country").index.domains == tuple(sorted(DOMAINS))
    with pytest.raises(DataError, match=r"no column contry .*; did you mean country\?"):
        module(folder, domain_by="contry").dataset("train")


@pytest.mark.slow
def test_no_place_at_all_is_allowed_and_counted(folder):
    for path in (folder / "images").glob("*"):
        if path.stat().st_size > 600 and "half" not in path.name:
            with rasterio.open(path) as source:
                values = source.read()
            shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
            with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **shape) as file:
                file.write(values)
    made = module(folder, "georeferenced.csv")
    for split in ("train", "val", "test"):
        assert np.isnan(made.dataset(split).lonlat).all()
        assert len(made.dataset(split))


@pytest.mark.slow
def test_a_table_that_cannot_be_written_beside_uses_the_cache_folder(folder, tmp_path, monkeypatch):
    (folder / "clean.csv.geomoe").write_text("in the way")
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "cache"))
    made = module(folder, "clean.csv")
    made.statistics()
    found = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert found == {"images.parquet", "statistics.json"}
    assert made.files.find("statistics.json").parent.name.startswith("clean-")


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].__setitem__(0, "file"), r"no column filename \(columns: file, label"),
        (lambda rows: rows[0].__setitem__(1, "Label"), r"no column label .*perhaps --columns label=Label"),
        (lambda rows: rows[0].__setitem__(3, "y"), r"no column lat "),
        (lambda rows: rows[0].__setitem__(4, "LONGITUDE"), "columns lon and LONGITUDE both name the lon"),
        (lambda rows: rows[0].__setitem__(4, "label"), "has several columns label; keep one"),
        (lambda rows: [row.__setitem__(1, "sand") for row in rows[1:]], "at least 2 classes; got sand"),
        (lambda rows: [r.__setitem__(1, f"0.{i}1") for i, r in enumerate(rows[1:])], "measurements such as"),
        (lambda rows: rows.append([*rows[1][:1], "other", *rows[1][2:]]), "several times, with the labels"),
        (
            lambda rows: [row.__setitem__(3, "91") for row in rows[1:]],
            r"latitude beyond 90 .*swapped\?\): 91",
        ),
        (
            lambda rows: [row.__setitem__(2, "ten") for row in rows[1:30]],
            "29 of 72 rows .*not a number.*: ten",
        ),
        (lambda rows: [row.__setitem__(2, "") for row in rows[1:30]], "exactly one of lon, lat"),
        (lambda rows: rows.__delitem__(slice(1, None)), "has no rows"),
        (lambda rows: [row.__setitem__(0, "x" + row[0]) for row in rows[1:]], "no such image"),
        (
            lambda rows: [row.__setitem__(5, "train") for row in rows[1:]],
            "column split: no row says val, test",
        ),
        (lambda rows: rows[2].__setitem__(0, rows[1][0]), "several times, with the labels"),
    ],
)
def test_a_table_that_is_wrong_is_refused_in_one_line(change, message, folder):
    edit(folder / "clean.csv", change)
    with pytest.raises(DataError, match=message) as caught:
        module(folder, "clean.csv").dataset("train")
    assert len(str(caught.value).splitlines()) == 1
    assert "clean.csv" in str(caught.value)


@pytest.mark.slow
def test_swapped_columns_are_found_by_the_images_own_places(folder):
    edit(folder / "clean.csv", lambda rows: rows[0].__setitem__(slice(2, 4), ["lat", "lon"]))
    with pytest.raises(DataError, match=r"columns lon and lat look swapped: .*its own georeference says"):
        module(folder, "clean.csv").dataset("train")


def test_mixed_band_counts_are_refused_beyond_a_few(folder):
    for path in sorted((folder / "images").glob("utm*"))[:12]:
        shutil.copy(folder / "images/three bands.tif", path)
    with pytest.raises(DataError, match=r"has 3 bands: most images have 4; choose some with data\.bands"):
        module(folder, "clean.csv").dataset("train")


def test_missing_folder_and_table(folder):
    with pytest.raises(DatasetNotFoundError, match=r"--data-root DIR"):
        FolderDataModule(None, metadata="x.csv").dataset("train")
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        FolderDataModule(folder / "gone", metadata="x.csv").dataset("train")
    with pytest.raises(
        DataError,
        match=r"found \d+ images and one folder of images alone, images; give --metadata clean\.csv",
    ):
        FolderDataModule(folder).dataset("train")
    with pytest.raises(DatasetNotFoundError, match=r"no such table: x\.csv"):
        FolderDataModule(folder, metadata="x.csv").dataset("train")
    assert FolderDataModule(folder, metadata="clean.csv").metadata == folder / "clean.csv"
    (folder / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"ends in \.csv"):
        FolderDataModule(folder, metadata="a.txt").dataset("train")


@pytest.mark.slow
def test_damaged_side_files_are_refused_by_name(folder):
    module(folder, "georeferenced.csv").statistics()
    side = folder / "georeferenced.csv.geomoe"
    (side / "statistics.json").write_text('{"cut')
    with pytest.raises(DataError, match=r"statistics\.json: damaged; delete it"):
        module(folder, "georeferenced.csv").statistics()
    (side / "split-v2-0.csv").write_text("filename,split,block\nimages/x.tif,tarin,1_2_3\n")
    with pytest.raises(DataError, match=r"split-v2-0\.csv: row 1: expected train, val, test, left_out; got"):
        module(folder, "georeferenced.csv").dataset("train")


@pytest.mark.slow
def test_an_image_that_breaks_while_training_is_named(folder):
    train = module(folder, "clean.csv").dataset("train")
    (folder / train.filenames[3]).write_bytes(b"")
    with pytest.raises(DataError, match="0 bytes") as caught:
        train[3]
    assert train.filenames[3] in str(caught.value)


def test_how_many_rows_may_be_skipped():
    assert [tolerance(count) for count in (3, 10, 25, 100, 1000, 1_000_000)] == [0, 2, 5, 5, 10, 10_000]


def test_whole_numbers_stay_classes_in_any_table(tmp_path):
    frame = pd.DataFrame({"filename": ["a", "b", "c"], "label": [10.0, 9.0, 10.0], "split": ["train"] * 3})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.astype({"label": int}).to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        assert read_table(tmp_path / name).label.tolist() == ["10", "9", "10"]
    points = geopandas.points_from_xy([0, 1, 2], [0, 1, 2]).buffer(1)
    geopandas.GeoDataFrame(frame, geometry=points).to_parquet(tmp_path / "g.parquet")
    with pytest.raises(DataError, match="expected points; row 1 is a Polygon"):
        read_table(tmp_path / "g.parquet")


# --- through the command line -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("table", ["points.csv", "georeferenced.csv"])
def test_train_and_evaluate(table, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ["--model.image_size", "16", "--data.batch_size", "8", "--trainer.loggers", "csv", "--quiet"]
    data = ["--data-root", "data", "--metadata", table]
    assert main(["train", "folder", *data, "--dry-run", *short]) == 0
    run = tmp_path / "runs/folder/moge/all-seed0-dry"
    assert os.listdir(run / "checkpoints")
    kept = pd.read_csv(run / "samples.csv")
    assert set(kept["split"]) == {"train", "val", "test"}
    assert "test_acc" in capsys.readouterr().out
    assert main(["evaluate", "--checkpoint", str(run / "checkpoints/best.ckpt"), "--quiet"]) == 0


@pytest.mark.slow
def test_the_log_says_how_many_places_are_unknown(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "geomoe")
    table = folder / "clean.csv"
    edit(table, lambda rows: [row.__setitem__(slice(2, 4), ["", ""]) for row in rows[1:]])
    short = ["--model.image_size", "16", "--data.batch_size", "8", "--trainer.loggers", "csv"]
    data = ["--data-root", "data", "--metadata", "clean.csv"]
    assert main(["train", "folder", *data, "--dry-run", *short]) == 0
    assert "36 of 36 train samples have no known place" in caplog.text


@pytest.mark.slow
def test_23_images_train_without_a_batch_size(folder, tmp_path, monkeypatch, caplog):
    """The shipped configuration fits its batch to the training split."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "geomoe")
    edit(folder / "clean.csv", lambda rows: rows.__delitem__(slice(1, len(rows) - 23)))
    train = sum(
        row["split"] == "train" for row in csv.DictReader((folder / "clean.csv").open(encoding="utf-8"))
    )
    data = ["--data-root", "data", "--metadata", "clean.csv", "--model.image_size", "16"]
    short = ["--trainer.loggers", "csv", "--trainer.max_epochs", "2"]
    assert main(["train", "folder", *data, *short]) == 0
    assert f"a batch is {train} samples on each device: there are {train} to train with" in caplog.text
    (table,) = tmp_path.glob("runs/**/metrics.csv")
    assert pd.read_csv(table)["step"].tolist() == [1, 2]  # an epoch is one step
