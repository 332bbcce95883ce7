"""No CSV beside a table has a cell that a spreadsheet would run, and the kept split is read as it was."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.folder.split import read_split, write_split
from geomoe.support.cells import plain_cell, safe_cell

NAMES = ["=1+1.png", "+cmd.png", "-2.png", "@SUM.png", "'=quoted.png", *(f"{k}.png" for k in range(31))]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["filename,label", "=gone.png,a", "-gone.png,b"]
    for k, name in enumerate(NAMES):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name)
        rows.append(f"{name},{'ab'[k % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def runs(path):
    return [cell for cell in cells(path) if safe_cell(cell) != cell]


@pytest.mark.parametrize("safe", [False, True])
def test_every_file_beside_a_table(folder, tmp_path, safe):
    made = FolderDataModule(root=folder, metadata="t.csv", safe_csv=safe)
    first = dict(zip(made.index.filename, made.index.split, strict=True))
    made.write_index(tmp_path)
    written = [tmp_path / "samples.csv", *sorted((folder / "t.csv.geomoe").glob("*.csv"))]
    assert [path.name for path in written] == ["samples.csv", "skipped.csv", "split-v2-0.csv"]
    for path in written:
        assert bool(runs(path)) is not safe
        assert any("gone.png" in cell for cell in cells(path)) is (path.name == "skipped.csv")
    # the split is read as it was written, in both ways, and nobody changes sides
    for again in (False, True):
        other = FolderDataModule(root=folder, metadata="t.csv", safe_csv=again)
        assert dict(zip(other.index.filename, other.index.split, strict=True)) == first
        assert bool(runs(written[-1])) is not safe  # nothing is new, so nothing is written


def test_names_that_are_quoted_and_names_with_an_apostrophe(tmp_path):
    rows = {name: ("train", f"={name}") for name in NAMES}
    write_split(tmp_path / "s.csv", rows, safe_csv=True)
    assert runs(tmp_path / "s.csv") == []
    assert read_split(tmp_path / "s.csv", set(NAMES)) == rows
    for text in ("'", "''", "'a", "-1", "'-1", "a", ""):  # neither quoted nor taken for quoted
        assert plain_cell(text) == safe_cell(text) == text
    for text in ("=a", "+a", "-a", "@a", "\ta"):
        assert plain_cell(safe_cell(text)) == text
        assert plain_cell(text) == text
