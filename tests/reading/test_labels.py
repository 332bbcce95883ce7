"""Labels of other tasks than classification are refused, each with its name; classes are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomoe.errors import DataError
from geomoe.reading.image_table import read_table
from geomoe.reading.labels import check_labels, listed

WHERE = Path("points.csv")


def column(*labels, times=1):
    return np.array(labels * times, dtype=object)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (column("0.37", "12", "4.5"), "as 0.37. geomoe classifies images, one class each: no regression"),
        (column(*(f"{n / 4:g}" for n in range(24)), times=9), "measurements such as 0.25. .*: no regression"),
        (column("a|b", "c; d", "e"), "in one cell, such as 'a|b'. .*: no multi-label classification"),
        (column("['a', 'b']", "['a', 'c']"), "in one cell, .*: no multi-label .*; keep one label"),
        (column("m/1.png", "m/2.PNG", times=2), "files such as m/1.png. .*: no segmentation; give"),
        (column("a", "a"), "expected at least 2 classes; got a"),
        (column(), "expected at least 2 classes; got none"),
    ],
)  # fmt: skip
def test_other_tasks_are_refused_by_name(label, message):
    with pytest.raises(DataError, match=message.replace("|", r"\|")) as caught:
        check_labels(label, WHERE)
    assert str(caught.value).startswith("points.csv: column label: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "label",
    [
        column("forest", "field"),
        column("0", "1", "250"),
        column("0.5", "1.5", times=4),  # a few levels, each with many images
        column("crops, irrigated", "crops, rainfed"),
        column("bare|cloud", "bare", "cloud", times=2),  # the lesser part: said, not refused
        column("scene.png", "forest"),
    ],
)
def test_classes_pass(label):
    check_labels(label, WHERE)


def test_what_a_list_in_a_cell_is():
    assert listed('["bare", "cloud"]') == ["bare", "cloud"]
    assert listed(" bare ; cloud ") == ["bare", "cloud"]
    assert listed("crops, irrigated") == []
    assert listed("bare|") == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a", "b"], ["a"], ["c"]], r"the cell of row 1 is a list \(a, b\)"),
        ([None, [1.5, 2.0], None], r"the cell of row 2 is a list \(1.5, 2.0\)"),
    ],
)
def test_lists_in_cells_of_parquet(labels, message, tmp_path):
    path = tmp_path / "points.parquet"
    frame = pd.DataFrame({"filename": ["1.png", "2.png", "3.png"], "label": labels})
    frame.to_parquet(path)
    with pytest.raises(DataError, match=message + ". geomoe classifies .*: no multi-label classification"):
        read_table(path)


def test_measurements_of_a_float_column(tmp_path):
    path = tmp_path / "points.csv"
    frame = pd.DataFrame({"filename": [f"{n}.png" for n in range(9)], "label": np.linspace(0, 1.6, 9)})
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"measurements such as 0\.2.*: no regression"):
        read_table(path)


def test_an_image_with_two_labels(tmp_path):
    path = tmp_path / "points.csv"
    pd.DataFrame({"filename": ["1.png", "1.png", "2.png"], "label": ["a", "b", "a"]}).to_csv(path)
    with pytest.raises(DataError, match=r"with the labels a, b; .*no multi-label classification\)"):
        read_table(path)
