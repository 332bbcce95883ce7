"""Copies of files in two splits and of two classes are told, with examples."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from geomoe.cli import main


@pytest.fixture
def folder(tmp_path):
    rng, rows = np.random.default_rng(0), ["filename,label,split"]
    for number in range(18):
        picture = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]},{('train', 'val', 'test')[number % 3]}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def check(folder, capsys):
    argv = ["data", "check", "folder", "--data-root", str(folder), "--metadata", "t.csv", "--json"]
    status = main(argv)
    out, err = capsys.readouterr()
    return status, json.loads(out), err


def test_no_copies(folder, capsys):
    status, found, _ = check(folder, capsys)
    assert (status, found["findings"]) == (0, [])
    assert found["shapes"] == {"3 x 8 x 8 uint8": 18}  # the type of the files, which are read as float32


@pytest.mark.slow
def test_copies_in_two_splits_are_a_fault(folder, capsys):
    for number in (1, 4):  # two of val
        shutil.copy(folder / "0.png", folder / f"{number}.png")
    shutil.copy(folder / "3.png", folder / "6.png")  # two of train
    status, found, _ = check(folder, capsys)
    assert status == 1
    said = {(one["severity"], one["where"]): one["what"] for one in found["findings"]}
    assert set(said) == {("fault", "train, val"), ("warning", "train"), ("warning", "val")}
    assert said["fault", "train, val"] == (
        "2 images of val are copies of images of train, byte for byte: 1.png is 0.png, 4.png is 0.png; "
        "keep one of each, or give copies one value in a column group"
    )
    assert (
        "2 images are copies of one another and have different classes: 3.png (b), 6.png (a)"
        in (said["warning", "train"])
    )


def test_what_may_be_the_place_is_proposed_once(folder, capsys):
    table = (folder / "t.csv").read_text().replace("split\n", "split,x,y\n").replace("train\n", "train,1,2\n")
    (folder / "t.csv").write_text(table)
    _, _, err = check(folder, capsys)
    assert err.count("no columns lon and lat; if x and y are degrees") == 1
