"""The index of data sets has every data set, with the splits and the keys that the catalogue has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from geomoe.catalogue import CATALOGUE
from geomoe.config.schema import DataConfig
from geomoe.config.shipped import shipped

PAGE = (Path(__file__).resolve().parents[2] / "docs/datasets/README.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.partition("\n\n")[2].partition("\n\n")[0].splitlines()[2:]]
EVERY = ("train", "val", "test")
GROUPED = {"groups_per_batch", "batches_per_epoch"}


def words(cell):
    return set(re.findall(r"`([\w-]+)`", cell))


def test_every_data_set_has_one_row():
    assert sorted(name for row in ROWS for name in words(row[0])) == sorted(CATALOGUE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip(" `"))
def test_splits_and_keys_of_a_row(row):
    (name,) = words(row[0])
    entry = CATALOGUE[name]
    assert set(entry.keys) >= GROUPED
    assert words(row[3]) == set(entry.splits) - set(EVERY)
    assert words(row[4]) == set(entry.keys) - GROUPED


def test_common_keys_and_configurations_are_named():
    common = {name for name in DataConfig.__dataclass_fields__ if name != "name"}
    own = {key for entry in CATALOGUE.values() for key in entry.keys} - GROUPED
    section = PAGE.partition("\n## Common options\n")[2].partition("\n## ")[0]
    assert common - own <= words(section)
    assert [name for name in shipped() if f"`{name}`" not in PAGE] == []
