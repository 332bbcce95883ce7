"""The index: its rules hold for every row, checked from the raw table and not through our loader."""

from __future__ import annotations

import csv
import gzip
from importlib.resources import files

import numpy as np
import pytest

from geomoe.datasets.bluemarble import index as ix
from geomoe.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def rows():
    packed = files("geomoe.datasets.bluemarble") / "assets" / ix.INDEX_FILE
    raw = gzip.decompress(packed.read_bytes()).decode()
    return list(csv.DictReader(line for line in raw.splitlines() if not line.startswith("#")))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def test_loader_agrees_with_the_csv_module(rows):
    index = ix.load_index()
    for name, got in [("lon", index.lonlat[:, 0]), ("lat", index.lonlat[:, 1]), ("label", index.label)]:
        np.testing.assert_array_equal(got, column(rows, name))
    for name, got in [("region", index.region), ("block", index.block)]:
        np.testing.assert_array_equal(got, column(rows, name))
    for seed in ix.SPLIT_SEEDS:
        np.testing.assert_array_equal(index.split[:, seed], column(rows, f"split_{seed}"))
    assert not index.label.flags.writeable


def test_size_classes_and_regions(rows):
    assert 19_000 < len(rows) < 21_000
    assert set(column(rows, "label")) == set(range(12)) == set(range(len(ix.CLASSES)))
    assert set(column(rows, "region")) == set(range(5)) == set(range(len(ix.REGIONS)))
    cells = column(rows, "label") * 5 + column(rows, "region")
    assert np.unique(cells, return_counts=True)[1].max() <= 500
    assert len({(row["lon"], row["lat"]) for row in rows}) == len(rows)
    packed = (files("geomoe.datasets.bluemarble") / "assets" / ix.INDEX_FILE).read_bytes()
    assert len(packed) < 100_000


def test_every_footprint_lies_inside_its_block_and_the_range(rows):
    # Whole pixels: 15 a degree, 90 a block, 16 on either side of the centre.
    x, y = (column(rows, "lon") + 180) * 15, (90 - column(rows, "lat")) * 15
    np.testing.assert_allclose([x, y], np.round([x, y]), atol=1e-6)
    x, y = np.round(x), np.round(y)
    block = column(rows, "block")
    left, top = block % 60 * 90, block // 60 * 90
    assert (x - 16 >= left).all()
    assert (x + 16 <= left + 90).all()
    assert (y - 16 >= top).all()
    assert (y + 16 <= top + 90).all()
    assert column(rows, "lat").min() >= -57
    assert column(rows, "lat").max() <= 72
    np.testing.assert_array_equal(ix.load_index().corners(), np.stack([y - 16, x - 16], axis=1))


def test_a_block_is_in_one_split_and_each_block_is_tested_once(rows):
    block = column(rows, "block")
    tests = np.zeros(len(rows))
    for seed in ix.SPLIT_SEEDS:
        split = column(rows, f"split_{seed}")
        pairs = np.unique(np.stack([block, split]), axis=1)
        assert pairs.shape[1] == len(np.unique(block))
        tests += split == 2
    assert (tests == 1).all()


@pytest.mark.parametrize("seed", ix.SPLIT_SEEDS)
def test_shares_are_kept_in_every_region(rows, seed):
    region, block, split = column(rows, "region"), column(rows, "block"), column(rows, f"split_{seed}")
    for number in range(5):
        here = region == number
        blocks = len(np.unique(block[here]))
        for part, share in enumerate(ix.SPLIT_SHARES.values()):
            found = len(np.unique(block[here & (split == part)])) / blocks
            assert found == pytest.approx(share, abs=0.04)
            assert (here & (split == part)).sum() / here.sum() == pytest.approx(share, abs=0.06)
    assert len(np.unique(block[(region == 4) & (split == 2)])) >= 10


@pytest.mark.parametrize(
    ("lon", "lat", "region"),
    [(37, 58, "Europe"), (90, 60, "Europe"), (33, 39, "Asia"), (68, 48, "Asia"), (31, 25, "Africa"),
     (-45, 70, "Americas"), (-53, 4, "Americas"), (134, -25, "Oceania"), (144, -6, "Oceania"),
     (115, 0, "Asia")],
)  # fmt: skip
def test_regions_follow_m49(rows, lon, lat, region):
    # Russia on both sides of the Urals, Turkey, Kazakhstan, Egypt, Greenland, French Guiana,
    # Australia, Papua New Guinea, Borneo: samples within 4 degrees are of the country's region.
    near = (np.abs(column(rows, "lon") - lon) < 4) & (np.abs(column(rows, "lat") - lat) < 4)
    found = column(rows, "region")[near]
    assert len(found) > 3
    assert np.bincount(found.astype(int), minlength=5).argmax() == ix.REGIONS.index(region)


def test_protocols(rows):
    index = ix.load_index()
    region = index.region
    for held_out in ix.REGIONS:
        left = ix.REGIONS.index(held_out)
        for split in ("train", "val"):
            everything = ix.select(index, split, split_seed=1)
            kept = ix.select(index, split, split_seed=1, held_out=held_out)
            np.testing.assert_array_equal(kept, everything[region[everything] != left])
            assert len(kept) < len(everything)
        test = ix.select(index, "test", split_seed=1, held_out=held_out)
        np.testing.assert_array_equal(test, ix.select(index, "test", split_seed=1))
        part = ix.select(index, "held_out", split_seed=1, held_out=held_out)
        np.testing.assert_array_equal(part, test[region[test] == left])
    whole = np.concatenate([ix.select(index, split, split_seed=2) for split in ix.SPLIT_SHARES])
    np.testing.assert_array_equal(np.sort(whole), np.arange(len(region)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "train", "held_out": "Atlantis"}, r"no region 'Atlantis' .* Asia, Europe, Africa"),
        ({"split": "train", "held_out": "asia"}, "no region 'asia'"),
        ({"split": "tests"}, "expected train, val, test or held_out; got 'tests'"),
        ({"split": "held_out"}, "needs a region: set data.held_out"),
        ({"split": "train", "split_seed": 4}, "declares 0, 1, 2, 3; got 4"),
        ({"split": "train", "split_seed": -1}, "declares 0, 1, 2, 3; got -1"),
    ],
)  # fmt: skip
def test_refusals(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ix.select(ix.load_index(), **arguments)


@pytest.mark.parametrize("table", [b"", b"# only a comment\n", b"lon,lat,label\n1,2,3\n"])
def test_a_damaged_table_is_refused(table):
    with pytest.raises(ValueError, match="expected the columns lon,lat,label,region,block"):
        ix.parse_index(table)


def test_a_damaged_file_says_reinstall(monkeypatch, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / ix.INDEX_FILE).write_bytes(b"\x1f\x8bnot gzip")
    monkeypatch.setattr(ix, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match="reinstall geomoe"):
        ix.load_index.__wrapped__()
