"""Class names that look like several labels at once are said, and names of one class are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from geomoe.cli import main
from geomoe.datasets.folder.doubts import alike, doubts
from geomoe.datasets.samples.folder import write


def said(*classes):
    label = np.repeat(np.arange(len(classes)), 2)
    split = np.array(["train", "test"] * len(classes), dtype=object)
    return [doubt for doubt in doubts(classes, label, split) if "several labels" in doubt]


@pytest.mark.parametrize(
    "name",
    ["bare|cloud", "bare | cloud", "x|y", "bare;cloud", "['bare', 'cloud']", '["bare","cloud"]', "[1, 2]",
     "bare,cloud", "bare, cloud", "bare+cloud", "bare & cloud", "bare/cloud", "bare and cloud", "Bare cloud",
     "cloud_bare",
     "bare-cloud", "bare - cloud", "bare:cloud", "bare\\cloud", "(bare, cloud)"],
)  # fmt: skip
def test_joint_labels_are_said(name):
    found = said("bare", "cloud", name)
    assert len(found) == 1
    assert found[0].startswith(f"{name!r} (2 images) look like several labels in one cell")


@pytest.mark.parametrize(
    "classes",
    [
        ("crops, irrigated", "forêt", "sand"),
        ("bare", "bare soil", "cloud"),
        ("Herbaceous/Shrub", "Trees", "herbaceous"),
        ("dense_residential", "residential", "sparse"),
        ("sand (wet)", "sand"),
        ("car-park", "park"),
        ("1", "2", "12", "1-3"),
        ("|", ";", "a"),
    ],
)
def test_names_of_one_class_are_not(classes):
    assert said(*classes) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Site A", "site-a", "b"], "'Site A', 'site-a' are different domains"),
        (
            ["e\u0301", "\xe9"],
            "'e\u0301', '\xe9' are different domains; their letters are coded in different ways",
        ),
        (["x", "\uff58"], "'x', '\uff58' are different domains; their letters are coded in different ways"),
        (["1", "1.0", "01", "-1"], "'1', '1.0', '01' are different domains"),
        (["x", "x\u200b"], r"'x', 'x\u200b' are different domains"),
        (["-5", "5", "a", "b", "1.5", "15"], None),
    ],
)
def test_names_that_look_alike_are_said(names, message):
    found = list(alike(names, "domains"))
    assert len(found) == (message is not None)
    assert message is None or found[0].startswith(message)


def test_several_are_one_message():
    assert "'a|b', 'a|c' (4 images)" in said("a", "a|b", "a|c")[0]


@pytest.mark.slow
def test_training_logs_it_and_a_check_warns(tmp_path, capsys):
    write(tmp_path)
    table = pd.read_csv(tmp_path / "clean.csv")
    table.loc[:3, "label"] = "sand|forêt"
    table.to_csv(tmp_path / "clean.csv", index=False)
    words = ["--data-root", str(tmp_path), "--metadata", "clean.csv"]
    assert main(["data", "check", "folder", *words, "--images", "0"]) == 0
    out, err = capsys.readouterr()
    expected = "'sand|forêt' (4 images) look like several labels in one cell"
    assert expected in err  # the log of every run that opens the table
    warned = [line for line in out.splitlines() if expected in line]
    assert len(warned) == 1
    assert "warning" in warned[0]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            range(1990, 2020),
            "30 whole numbers from 1990 to 2019 are one class each; if they are measurements",
        ),
        (range(-20, 15), "35 whole numbers from -20 to 14 "),
        (range(0, 310, 10), "31 whole numbers from 0 to 300 "),
        (range(1990, 2019), ""),  # few
        (range(62), ""),  # ids, counted from 0
        (range(1, 63), ""),
        ([*range(1990, 2030), "no"], ""),
    ],
)
def test_measurements_in_whole_numbers_are_said(classes, message):
    label = np.arange(len(classes))
    split = np.full(len(classes), "train", dtype=object)
    found = [one for one in doubts(list(map(str, classes)), label, split) if "regression" in one]
    assert len(found) == bool(message)
    assert not message or found[0].startswith(message)
