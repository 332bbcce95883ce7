"""FMoW's reader against rules written out here, one CSV row at a time, without anything of the reader."""

from __future__ import annotations

import csv
import gzip
import hashlib
import pickle
import re
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch.utils.data import DataLoader
from torchgeo.datasets import NonGeoDataset, stack_samples

from geomoe.catalogue import CATALOGUE
from geomoe.datasets import DATASETS, FMoW, FMoWLAO
from geomoe.datasets.fmow.reader import cells
from geomoe.datasets.fmow.splits import SPLITS
from geomoe.datasets.fmow_names import REGIONS
from geomoe.datasets.samples import fmow as sample
from geomoe.errors import ConfigError, CoordinateError, DataError, DatasetNotFoundError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fmow")
    sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def rows(root):
    """The table as text, one dict a row."""
    with (root / "fmow_v1.1" / "rgb_metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def region_of(root):
    with (root / "fmow_v1.1" / "country_code_mapping.csv").open(encoding="utf-8", newline="") as file:
        return {row["alpha-3"]: row["region"] or "Other" for row in csv.DictReader(file)}


def when(stamp):
    """Python's own parser of ISO 8601."""
    return datetime.fromisoformat(stamp)


def rule(row, year=2016):
    """WILDS' splits in words: the split of one row."""
    stamp, part = when(row["timestamp"]), row["split"]
    if stamp < datetime(year - 3, 1, 1, tzinfo=UTC):
        return {"train": "train", "val": "id_val", "test": "id_test"}.get(part)
    if stamp < datetime(year, 1, 1, tzinfo=UTC):
        return "val" if part == "val" else None
    return "test" if part == "test" else None


@pytest.mark.parametrize("protocol", ["official", "time_after_2016", "time_after_2013", "time_after_2009"])
@pytest.mark.parametrize("split", SPLITS)
def test_splits_follow_the_rule(root, rows, split, protocol):
    year = 2016 if protocol == "official" else int(protocol[-4:])
    expected = [number for number, row in enumerate(rows) if rule(row, year) == split]
    assert FMoW(root, split, protocol=protocol).rows.tolist() == expected


def test_boundary_stamps_are_in_every_part_and_fall_on_their_side(root, rows):
    by_split = {number: split for split in SPLITS for number in FMoW(root, split).rows.tolist()}
    turn = {"2012-12-31": ("train", "id_val", "id_test"), "2013-01-01": (None, "val", None)}
    turn |= {"2015-12-31": (None, "val", None), "2016-01-01": (None, None, "test")}
    seen = set()
    for number, row in enumerate(rows):
        day = row["timestamp"][:10]
        if row["timestamp"] in sample.BOUNDARIES:
            place = ("train", "val", "test").index(row["split"]) if row["split"] != "seq" else None
            assert by_split.get(number) == (None if place is None else turn[day][place]), row
            seen.add((row["split"], row["timestamp"]))
    assert len(seen) == 4 * len(sample.BOUNDARIES)


def test_the_traps_are_there(rows):
    parts = [row["split"] for row in rows]
    assert "seq" in parts[: parts.index("train") + 40]  # sequestered rows among the others
    fractions = [number for number, row in enumerate(rows) if "." in row["timestamp"]]
    assert 92 < fractions[0] < len(rows) - 1
    assert {"", "XKX", "ATA", "NAM"} <= {row["country_code"] for row in rows}
    assert any(rule(row) is None and row["split"] == part for row in rows for part in ("train",))
    assert any(row["split"] == "val" and when(row["timestamp"]).year >= 2016 for row in rows)
    assert any(row["split"] == "test" and 2013 <= when(row["timestamp"]).year < 2016 for row in rows)


def test_every_value_of_every_sample(root, rows, region_of):
    for split in SPLITS:
        data = FMoW(root, split)
        columns = data.read_columns(np.arange(len(data)))
        for n, number in enumerate(data.rows.tolist()):
            row = rows[number]
            assert data.classes[columns["label"][n]] == row["category"]
            assert data.countries[columns["country"][n]] == row["country_code"]
            region = region_of.get(row["country_code"], "Other")
            assert data.regions[columns["domain"][n]] == REGIONS[columns["region"][n]] == region
            assert columns["year"][n] == when(row["timestamp"]).year
            assert columns["timestamp"][n].item() == when(row["timestamp"]).timestamp()
            lon, lat = columns["lon"][n].item(), columns["lat"][n].item()
            assert lat == float(row["lat"])
            assert np.mod(lon - float(row["lon"]), 360) in (0, 360) or data.mended[n] == 1
            assert data.extra["region"].dtype == np.int64


def test_regions_that_catch(root, rows):
    data = FMoW(root, "train")
    named = {
        rows[number]["country_code"]: data.regions[domain]
        for number, domain in zip(data.rows, data.domains, strict=True)
    }
    assert named["NAM"] == "Africa"  # alpha-2 NA is no missing value, and the table's own column is stale
    assert named["ATA"] == named["XKX"] == named[""] == "Other"
    assert named["TUR"] == "Asia"
    assert named["RUS"] == "Europe"
    assert data.uncounted == ("Other",)


def test_footprints_across_the_antimeridian(root, rows):
    data = FMoW(root, "test")
    country = [rows[number]["country_code"] for number in data.rows]
    fiji = np.array([code == "FJI" for code in country])
    assert (np.abs(data.lonlat[fiji, 0]) > 175).all()
    assert (data.mended == 1).sum() == 2
    assert country[int(np.flatnonzero(data.mended == 2)[0])] == "RUS"
    assert -180.0 in data.lonlat[:, 0]  # +180 is the same place


def test_the_middle_of_a_footprint_is_that_of_its_corners_on_one_side(root, rows, tmp_path):
    """Rings are drawn here, averaged as the table averages them, and unwrapped by numpy."""
    rng = np.random.default_rng(3)
    chosen = [number for number in FMoW(root, "train").rows if rows[number]["country_code"] == "FRA"]
    expected, table = {}, {}
    for number in chosen:
        lon, lat = rng.uniform(179.9, 180.1), rng.uniform(-19, -15)
        corners = rng.uniform(0.02, 0.1, 2) * [(-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)]
        ring = np.mod(lon + corners[:, 0] + 180, 360) - 180
        table[number] = {"country_code": "FJI", "lon": float(ring.mean()), "lat": lat}
        expected[number] = np.degrees(np.unwrap(np.radians(ring)).mean()), lat
    counted = iter(range(len(rows)))
    edited = edit(root, tmp_path, lambda row: row.update(table.get(next(counted), {})))
    data = FMoW(edited, "train")
    assert len(expected) > 5
    across = 0
    for n in np.flatnonzero(np.isin(data.rows, chosen)):
        lon, lat = expected[data.rows[n]]
        assert np.abs(np.mod(data.lonlat[n, 0] - lon + 180, 360) - 180) < 1e-9
        assert data.lonlat[n, 1] == lat
        across += data.mended[n] == 1
    assert across > 2


def test_images_are_those_of_the_csv_row(root):
    for split in ("val", "test"):
        data = FMoW(root, split)
        for n in range(0, len(data), 7):
            path = root / "fmow_v1.1" / "images" / f"rgb_img_{data.rows[n]}.png"
            expected = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32).transpose(2, 0, 1)
            assert np.array_equal(data[n]["image"].numpy(), expected)
    assert not np.array_equal(
        data.rows, np.arange(len(data))
    )  # a position in the split is no row of the table


def test_every_colour_mode_is_rgb(root):
    modes = {Image.open(path).mode for path in (root / "fmow_v1.1" / "images").iterdir()}
    assert modes == {"RGB", "RGBA", "L", "P"}
    for split in SPLITS:
        for one in FMoW(root, split):
            assert one["image"].shape == (3, 224, 224)


def test_it_is_a_torchgeo_data_set(root):
    data = FMoW(root, "val")
    assert isinstance(data, NonGeoDataset)
    first = data[0]
    assert all(isinstance(value, torch.Tensor) for value in first.values())
    assert set(first) == {
        *("image", "label", "lon", "lat", "domain", "index"),
        *("region", "country", "year", "timestamp"),
    }
    assert 1 < first["image"].max() <= 255
    batch = next(iter(DataLoader(data, batch_size=4, collate_fn=stack_samples, num_workers=1)))
    assert torch.equal(batch["label"], torch.from_numpy(data.labels[:4]))
    assert FMoW(root, "val", image_size=32)[0]["image"].shape == (3, 32, 32)
    figure = data.plot({**first, "prediction": torch.tensor(3)})
    assert data.classes[int(first["label"])] in figure.axes[0].get_title()
    plt.close("all")
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[5]["image"], data[5]["image"])


def test_the_root_may_be_the_folder_itself(root):
    assert np.array_equal(FMoW(root / "fmow_v1.1", "val").rows, FMoW(root, "val").rows)


def test_blocks_are_cells_of_six_degrees():
    rng = np.random.default_rng(1)
    lonlat = np.stack([rng.uniform(-180, 180, 300), rng.uniform(-90, 90, 300)], axis=1)
    lonlat[:4] = [[-180, -90], [179.999, 90], [0, 0], [np.nan, np.nan]]
    lonlat[4] = np.nan
    found = cells(lonlat, np.arange(300))
    assert len(set(found[3:5])) == 2
    assert not set(found[3:5]) & set(np.delete(found, [3, 4]))
    key = [
        (int((lon + 180) // 6), min(int((lat + 90) // 6), 29)) for lon, lat in np.delete(lonlat, [3, 4], 0)
    ]
    groups = np.delete(found, [3, 4])
    for n in range(0, len(key), 5):
        assert [k == key[n] for k in key] == (groups == groups[n]).tolist()


# --- domains ------------------------------------------------------------------------------------


def test_groups_by_year(root, rows):
    data = FMoW(root, "val", domain_by="year")
    assert data.regions == tuple(str(year) for year in range(2002, 2018))
    assert data.uncounted == ()
    expected = [when(rows[number]["timestamp"]).year for number in data.rows]
    assert [int(data.regions[domain]) for domain in data.domains] == expected
    grouping = data.groupings()["region"]
    assert grouping.names == REGIONS
    assert grouping.uncounted == ("Other",)
    by_region = FMoW(root, "val")
    assert np.array_equal(grouping.ids, by_region.domains)
    assert np.array_equal(by_region.groupings()["year"].ids, data.domains)


def test_a_year_without_a_group_is_in_none(root, tmp_path):
    edited = edit(root, tmp_path, lambda row: row.update(timestamp="2018-02-03T00:00:00Z"))
    data = FMoW(edited, "test")
    assert set(data.extra["year"]) == {2018}
    assert set(data.groupings()["year"].ids) == {-1}
    assert set(FMoW(edited, "test", domain_by="year").domains) == {-1}


@pytest.mark.parametrize(
    ("domain_by", "held_out"), [("region", "Asia"), ("region", "Other"), ("year", "2010")]
)
def test_a_held_out_domain_is_in_no_split_that_trains_or_selects(root, domain_by, held_out):
    def opened(split, **options):
        return FMoW(root, split, domain_by=domain_by, **options)

    for split in SPLITS:
        whole, left = opened(split), opened(split, held_out=held_out)
        unseen = whole.domains == whole.regions.index(held_out)
        kept = ~unseen if split in ("train", "val", "id_val") else np.ones(len(whole), bool)
        assert np.array_equal(left.rows, whole.rows[kept])
    if domain_by == "region":
        test = opened("test")
        expected = test.rows[test.domains == test.regions.index(held_out)]
        assert np.array_equal(opened("held_out", held_out=held_out).rows, expected)
        assert len(expected)


# --- FMoW-LAO -----------------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS[:-1])
def test_lao_leaves_any_region_out(root, rows, region_of, region):
    def is_left_out(row):
        return region_of.get(row["country_code"], "Other") == region

    for split in SPLITS:
        kept = split in ("id_test", "test")
        expected = [
            number for number, row in enumerate(rows) if rule(row) == split and (kept or not is_left_out(row))
        ]
        assert FMoWLAO(root, split, held_out=region).rows.tolist() == expected
    test = [number for number, row in enumerate(rows) if rule(row) == "test" and is_left_out(row)]
    pooled = [number for number, row in enumerate(rows) if row["split"] != "seq" and is_left_out(row)]
    assert FMoWLAO(root, "held_out", held_out=region).rows.tolist() == test
    assert FMoWLAO(root, "pooled", held_out=region).rows.tolist() == pooled
    assert set(test) < set(pooled)


def test_lao_is_asia_unless_told_otherwise(root):
    assert FMoWLAO(root).held_out == "Asia"
    with pytest.raises(ConfigError, match="no region 'Other'"):
        FMoWLAO(root, held_out="Other")


def lao(root, **options):
    return DATASETS["fmow-lao"](root, held_out=options.pop("held_out", "Asia"), image_size=224, **options)


def test_lao_module(root):
    info = lao(root).info()
    assert (info["name"], info["protocol"], info["held_out"]) == ("fmow-lao", "v1", "Asia")
    assert info["uncounted"] == ["Other"]
    with pytest.raises(ConfigError, match=r"data.held_out: fmow-lao leaves one region out; name it"):
        lao(root, held_out=None).dataset("train")
    with pytest.raises(ConfigError, match=r"data.protocol: fmow-lao has version v1 alone; got 'v2'"):
        lao(root, protocol="v2").dataset("train")


def read_gz(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_index_file_says_it_all_and_gives_the_split_back(root, rows, tmp_path):
    module = lao(root)
    module.write_index(tmp_path)
    index = read_gz(tmp_path / "index.csv.gz")
    for split in SPLITS:
        listed = [int(entry["row"]) for entry in index if entry["split"] == split]
        assert listed == module.dataset(split).rows.tolist()
        assert FMoW(root, split, protocol=str(tmp_path / "index.csv.gz")).rows.tolist() == listed
    for name in ("held_out", "pooled"):
        listed = [int(entry["row"]) for entry in index if entry[name] == "1"]
        assert listed == module.dataset(name).rows.tolist()
        assert {entry["region"] for entry in index if entry[name] == "1"} == {"Asia"}
    first = (tmp_path / "index.csv.gz").read_bytes()
    module.write_index(tmp_path)
    assert (tmp_path / "index.csv.gz").read_bytes() == first
    assert not any(rows[int(entry["row"])]["split"] == "seq" for entry in index)


# --- splits of one's own ------------------------------------------------------------------------


def test_a_custom_split(root, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("row,split,note\n5,train,a\n9,test,b\n11,,none\n3,train,c\n", encoding="utf-8")
    assert FMoW(root, "train", protocol=str(path)).rows.tolist() == [3, 5]
    assert FMoW(root, "test", protocol=str(path)).rows.tolist() == [9]
    assert FMoW(root, "test", protocol=str(path)).data_hash != FMoW(root, "test").data_hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,split\n5,train\n5,test\n", "line 3: expected row .* each once.*row '5', split 'test'"),
        ("row,split\n99999,train\n", r"line 2: expected row \(0 to 359, each once\).*row '99999'"),
        ("row,split\n-1,train\n", "row '-1'"),
        ("row,split\n5,trian\n", "split 'trian'"),
        ("id,split\n5,train\n", "row ''"),
        ("row\n5\n", "split None"),
    ],
)
def test_custom_splits_that_do_not_fit(root, tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        FMoW(root, "train", protocol=str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_custom_splits_that_are_not_there(root, tmp_path):
    with pytest.raises(ConfigError, match="no such index file"):
        FMoW(root, protocol=str(tmp_path / "none.csv"))
    (tmp_path / "x.csv.gz").write_bytes(b"row,split\n")
    with pytest.raises(DataError, match="cannot be read as an index file"):
        FMoW(root, protocol=str(tmp_path / "x.csv.gz"))


def test_mixed_to_test_is_half_and_half(root, rows):
    plain, mixed = FMoW(root, "train"), FMoW(root, "train", protocol="mixed-to-test")
    spare = {
        n for n, row in enumerate(rows) if when(row["timestamp"]).year >= 2013 and row["split"] != "test"
    }
    kept, drawn = set(mixed.rows) & set(plain.rows), set(mixed.rows) - set(plain.rows)
    assert len(kept) == len(plain) // 2
    assert drawn <= spare - set(FMoW(root, "val").rows)
    assert not any(rows[n]["split"] == "seq" for n in drawn)
    assert len(drawn) > 5
    for split in ("id_val", "id_test", "val", "test"):
        assert np.array_equal(FMoW(root, split, protocol="mixed-to-test").rows, FMoW(root, split).rows)


# --- refusals -----------------------------------------------------------------------------------


def edit(root, tmp_path, change, which=lambda row: True, *, header=None):
    """A copy of the data with a changed table; images are the same files."""
    folder = tmp_path / "edited"
    (folder).mkdir(exist_ok=True)
    source = root / "fmow_v1.1"
    for name in ("country_code_mapping.csv",):
        (folder / name).write_bytes((source / name).read_bytes())
    if not (folder / "images").exists():
        (folder / "images").symlink_to(source / "images")
    with (source / "rgb_metadata.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    for row in filter(which, table):
        change(row)
    with (folder / "rgb_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header or sample.COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return folder


def at(number):
    """Choose one row of the table, counted from 0."""
    count = iter(range(10**9))
    return lambda row: next(count) == number


@pytest.mark.parametrize(
    ("column", "value", "error", "message"),
    [
        ("timestamp", "yesterday", DataError, r"Row #13: CSV conversion error.*invalid value 'yesterday'"),
        ("timestamp", "2011-02-07T02:48:56", DataError, "Row #13.*expected a zone offset"),
        ("timestamp", "", DataError, "timestamp: row 13 has none"),
        ("category", "castle", DataError, "category: expected one of 62 names.*row 13 has 'castle'"),
        ("split", "dev", DataError, "split: expected one of 4 names .*row 13 has 'dev'"),
        ("lat", "north", DataError, "Row #13: CSV conversion error to double: invalid value 'north'"),
        ("lat", "113.5", CoordinateError, "latitude beyond 90 degrees.*row 11"),
        ("lat", "", CoordinateError, "exactly one of lon, lat is missing.*row 11"),
    ],
)
def test_one_bad_cell(root, tmp_path, column, value, error, message):
    edited = edit(root, tmp_path, lambda row: row.update({column: value}), at(11))
    with pytest.raises(error, match=message) as caught:
        FMoW(edited)
    assert "rgb_metadata.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_both_coordinates_missing_is_an_unknown_place(root, tmp_path):
    chosen = int(FMoW(root, "val").rows[3])
    data = FMoW(edit(root, tmp_path, lambda row: row.update(lat="", lon=""), at(chosen)), "val")
    assert data[3]["lon"].isnan()
    assert data[3]["lat"].isnan()
    assert np.isnan(data.lonlat[:, 0]).sum() == 1
    assert "place unknown" in data.title(data[3])


def test_columns_are_found_by_name(root, tmp_path):
    header = ["stray", *reversed(sample.COLUMNS)]
    edited = edit(root, tmp_path, lambda row: row.update(stray="x"), header=header)
    assert FMoW(edited, "val").data_hash == FMoW(root, "val").data_hash


def test_the_hash_follows_the_data(root, tmp_path):
    changed = edit(root, tmp_path, lambda row: row.update(lat="1.25"), at(30))
    assert FMoW(changed, "val").data_hash != FMoW(root, "val").data_hash
    assert FMoW(root, "val").data_hash == FMoW(root, "train").data_hash


@pytest.mark.parametrize("column", ["split", "category", "country_code", "timestamp", "lat", "lon"])
def test_a_missing_column(root, tmp_path, column):
    header = [name for name in sample.COLUMNS if name != column]
    with pytest.raises(DataError, match=f"Column '{column}'.*expected the columns split, category"):
        FMoW(edit(root, tmp_path, lambda row: None, header=header))


def test_a_cut_off_or_empty_table(root, tmp_path):
    edited = edit(root, tmp_path, lambda row: None)
    path = edited / "rgb_metadata.csv"
    whole = path.read_bytes()
    for content, message in [
        (whole[:-150], "Expected 15 columns, got"),
        (b"", "[Ee]mpty CSV file"),
        (whole.splitlines(keepends=True)[0], "a header without rows"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            FMoW(edited)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_table_that_changed_is_read_again(root, tmp_path):
    edited = edit(root, tmp_path, lambda row: None)
    before = len(FMoW(edited, "val"))
    path = edited / "rgb_metadata.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:100]))
    assert len(FMoW(edited, "val")) < before


def test_a_mapping_that_does_not_fit(root, tmp_path):
    edited = edit(root, tmp_path, lambda row: None)
    path = edited / "country_code_mapping.csv"
    path.write_text("alpha-3,region\nFRA,Western Europe\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"region: expected one of Asia.*FRA has 'Western Europe'"):
        FMoW(edited)
    path.write_text("alpha-3,sub-region\nFRA,Western Europe\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column region; has alpha-3, sub-region"):
        FMoW(edited)


def test_missing_data(root, tmp_path):
    with pytest.raises(
        DatasetNotFoundError, match=r"no rgb_metadata.csv, no country_code_mapping.csv, no im"
    ) as c:
        FMoW(tmp_path / "nowhere")
    assert "geomoe data info fmow" in str(c.value)
    assert "--data-root" in str(c.value)
    assert "\n" not in str(c.value)
    assert list(tmp_path.iterdir()) == []  # WILDS would have made a folder
    edited = edit(root, tmp_path, lambda row: None)
    (edited / "images").unlink()
    with pytest.raises(DatasetNotFoundError, match="FMoW is not there: no images/;"):
        FMoW(edited)
    (edited / "images").mkdir()
    with pytest.raises(DataError, match=r"rgb_img_\d+.png: no such image.*not complete"):
        FMoW(edited)


def test_a_damaged_image_is_named_when_it_is_read(root, tmp_path):
    edited = edit(root, tmp_path, lambda row: None)
    (edited / "images").unlink()
    (edited / "images").mkdir()
    for path in (root / "fmow_v1.1" / "images").iterdir():
        (edited / "images" / path.name).symlink_to(path)
    data = FMoW(edited, "val")
    bad = edited / "images" / f"rgb_img_{data.rows[4]}.png"
    content = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(content[:200])
    with pytest.raises(DataError, match=re.escape(str(bad))):
        data[4]
    assert data[5]["image"].shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "id-val"}, r"no split 'id-val'; did you mean id_val\?"),
        ({"split": "pooled"}, "no split 'pooled'"),
        ({"split": "held_out"}, "held_out is there only when a domain is held out"),
        ({"protocol": "time_after_2001"}, "Y from 2002 to 2018"),
        ({"protocol": "oficial"}, "did you mean official"),
        ({"domain_by": "years"}, r"no grouping 'years'; did you mean year\?"),
        ({"held_out": "Asya"}, r"no region 'Asya'; did you mean Asia\?"),
        ({"held_out": "2010"}, "no region '2010'"),
        ({"held_out": "Asia", "domain_by": "year"}, "no year 'Asia'"),
    ],
)
def test_impossible_wishes(root, options, message):
    with pytest.raises(ConfigError, match=message):
        FMoW(root, **options)


def test_the_catalogue_knows_its_names(root):
    assert CATALOGUE["fmow"].domains == (*REGIONS, *(str(year) for year in range(2002, 2018)))
    assert CATALOGUE["fmow-lao"].domains == REGIONS[:-1]
    assert set(CATALOGUE["fmow"].splits) == set(SPLITS)
    assert set(CATALOGUE["fmow-lao"].splits) == set(FMoWLAO.splits) - {"held_out"}


@pytest.mark.slow
def test_the_writer_writes_the_same_again(root, tmp_path):
    sample.write(tmp_path)
    for name in ("rgb_metadata.csv", "country_code_mapping.csv", "images/rgb_img_200.png"):
        first, second = ((folder / "fmow_v1.1" / name).read_bytes() for folder in (root, tmp_path))
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    sample.write(tmp_path / "other", seed=1)
    other = (tmp_path / "other" / "fmow_v1.1" / "rgb_metadata.csv").read_bytes()
    assert other != (root / "fmow_v1.1" / "rgb_metadata.csv").read_bytes()
