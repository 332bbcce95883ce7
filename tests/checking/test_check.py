"""Checks of a data set: planted faults are found, counted and named, and sound data has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geomoe.checking.check import check
from geomoe.checking.figure import draw_places
from geomoe.checking.leakage import compare
from geomoe.checking.page import check_layers, check_page
from geomoe.coords import great_circle_km
from geomoe.datasets import BlueMarble
from tests import pictures

Pictures = pictures.Pictures


def split(rows, name="train", folder="none", **columns):
    return Pictures(folder, rows, name, **columns)


def said(parts, **options):
    return [tuple(finding) for finding in check(parts, images=0, **options).findings]


def test_pairs_against_every_distance_by_brute_force():
    generator = np.random.default_rng(0)
    places = np.stack([generator.uniform(9, 10, 60), generator.uniform(50, 51, 60)], axis=1)
    places[[5, 40]] = places[7]  # the same place in both splits
    places[[11, 45]] = np.nan
    one, other = np.arange(30), np.arange(30, 60)
    parts = {"train": split(one, lonlat=places[one]), "test": split(other, "test", lonlat=places[other])}
    (pair,) = compare(parts, near_km=5.0)
    nearest = []
    for i in other:
        km = [great_circle_km(places[[i]], places[[k]])[0] for k in one if not np.isnan(places[[i, k]]).any()]
        nearest += [min(km)] if km else []
    assert len(nearest) == 29
    assert pair.same_place == sum(km < 0.002 for km in nearest) == 1
    assert pair.near == sum(km <= 5 for km in nearest)
    assert 1 < pair.near < 29
    assert pair.min_km < 0.001
    assert pair.median_km == pytest.approx(float(np.median(nearest)), abs=1e-3)
    assert (pair.shared_rows, pair.shared_domains) == (0, 2)


def test_unknown_places_have_no_distance():
    parts = {"train": split([1, 2], lonlat=np.full((2, 2), np.nan)), "test": split([3], "test")}
    (pair,) = compare(parts, 1.0)
    assert (pair.same_place, pair.near) == (0, 0)
    assert math.isnan(pair.min_km)
    assert math.isnan(pair.median_km)


def test_held_out_is_a_part_of_test():
    parts = {name: split([row], name) for name, row in (("train", 1), ("test", 2), ("held_out", 2))}
    assert [(pair.first, pair.second) for pair in compare(parts, 1.0)] == [
        ("train", "test"),
        ("train", "held_out"),
    ]
    assert said(parts) == []


def test_sound_data_has_nothing_to_look_at():
    parts = {name: BlueMarble(split=name) for name in ("train", "val", "test")}
    found = check(parts)
    assert found.findings == []
    assert found.sound
    assert found.looked_at == 0  # a memory map that is verified when it is opened
    assert found.splits["train"].samples == len(parts["train"])
    assert found.splits["test"].classes == found.classes == 12
    assert all(pair.min_km > 1 and pair.shared_rows == 0 for pair in found.pairs)


def test_planted_faults():
    parts = {
        "train": split([1, 2, 2, 5], label=[0, 1, 1, 7], domain=[0, -1, 0, 2]),
        "val": split(np.empty(0, dtype=int), "val"),
        "test": split([5, 9], "test"),
    }
    found = check(parts, images=0)
    assert not found.sound
    assert set(found.findings) >= {
        ("fault", "train", "1 labels are outside 0 to 1; row 5 has 7"),
        ("fault", "train", "1 domains are outside -1 to 1; row 5 has 2"),
        ("fault", "train", "1 sample is in it twice"),
        ("fault", "val", "has no samples"),
        ("fault", "train, test", "1 sample is in both"),
    }


def test_counts_are_held_against_the_full_data_set():
    parts = {"train": split([1, 2]), "test": split([100], "test")}
    assert said(parts, expected={"train": 2, "test": 2000, "id_val": 5, "all": 3}) == [
        ("warning", "test", "has 1 sample; the full data set has 2,000")
    ]


def test_zero_is_no_place_and_exchanged_coordinates_show():
    cities = np.array([[2.35, 48.86], [13.4, 52.5], [37.6, 55.75], [-3.7, 40.4], [12.5, 41.9]])
    cities = np.concatenate([cities + shift for shift in (0, 0.2, 0.4, 0.6, 0.8)])
    rows = np.arange(len(cities))
    assert said({"train": split(rows, lonlat=cities)}) == []
    (finding,) = said({"train": split(rows, lonlat=cities[:, ::-1])})
    assert finding[:2] == ("warning", "train")
    assert "lon and lat look exchanged" in finding[2]
    (finding,) = said({"train": split([1], lonlat=[[0, 0]])})
    assert finding[2] == "a place is exactly 0, 0; leave the cells of an unknown place empty"


def test_regions_that_are_somewhere_else():
    places = np.array([[2.35, 48.86], [-21.9, 64.1], [36.8, -1.3], [np.nan, np.nan], [-0.1, 51.5]])
    data = split(np.arange(5), lonlat=places, domain=[0, 0, 0, 0, 1])
    data.regions = ("Europe", "Africa")
    (finding,) = said({"train": data})  # Nairobi is not in Europe, London not in Africa; Iceland is fine
    assert finding[2] == (
        "2 samples are on land more than 1.5 degrees from the region that they name; row 2 says Europe and "
        "is at lon 36.800, lat -1.300"
    )


@pytest.mark.slow
def test_unreadable_images_are_listed(tmp_path):
    rows = np.arange(100)
    pictures.draw(tmp_path, rows, size=6)
    (tmp_path / "17.png").write_bytes(b"")
    (tmp_path / "93.png").unlink()
    parts = {"train": split(rows[:70], folder=tmp_path), "test": split(rows[60:], "test", folder=tmp_path)}
    told = []
    found = check(parts, workers=2, tell=lambda *n: told.append(n))
    assert [row for row, _ in found.unreadable] == [17, 93]
    assert "17.png: an empty file" in found.unreadable[0].problem
    assert found.looked_at == 100  # ten are in both splits
    assert found.shapes == {"3 x 6 x 6 uint8": 98}
    assert told == [(64, 100), (100, 100)]
    assert ("fault", "images") in {finding[:2] for finding in found.findings}
    pictures.opened(tmp_path)
    assert check(parts, images=3).looked_at == 3
    assert pictures.opened(tmp_path) == [0, 50, 99]


def test_mixed_bands_are_a_fault(tmp_path):
    import torch

    class Mixed(Pictures):
        def load_image(self, index):
            return torch.zeros(3 if index else 4, 5, 5, dtype=torch.uint8)

    found = check({"train": Mixed(tmp_path, [1, 2, 3])})
    assert not found.sound
    assert (
        found.findings[0][2] == "have different numbers of bands: 2 of 3 x 5 x 5 uint8, 1 of 4 x 5 x 5 uint8"
    )


@pytest.mark.slow
def test_the_map_shows_each_split_what_is_near_and_what_is_in_another_country():
    places = np.array([[10.0, 50.0], [20.0, 50.0], [30.0, 10.0]])
    parts = {"train": split([1, 2], lonlat=places[:2]), "test": split([3, 4], "test", lonlat=places[[1, 2]])}
    for part in parts.values():
        part.countries, part.extra = ("DEU", "SSD"), {"country": np.array([0, 1])}
    found = check(parts, images=0)
    figure = draw_places(parts, found, "x: where")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [
        "train: 2 samples, 2 places",
        "test: 2 samples, 2 places",
        "within 1 km of train: 1 place",
        "not in the country of their code: 1 place",
    ]
    circles, crosses = figure.axes[0].collections[-2:]
    np.testing.assert_allclose(circles.get_offsets(), [[20.0, 50.0]])
    np.testing.assert_allclose(crosses.get_offsets(), [[20.0, 50.0]])  # Poland is neither of both
    assert [(odd.split, odd.why, odd.position.tolist()) for odd in found.odd] == [
        ("test", "near", [0]),
        ("train", "country", [1]),
        ("test", "country", [0]),
    ]
    layers = {layer.name: layer for layer in check_layers(parts, found)}
    assert list(layers) == ["All splits", "train", "test", "Near-duplicates", "Other countries"]
    assert [mark.lonlat for mark in layers["test"].marks] == [(20.0, 50.0), (30.0, 10.0)]
    assert [key[1] for key in layers["All splits"].keys] == ["train", "test"]
    (near,) = layers["Near-duplicates"].marks
    assert near.values[:4] == ("20.0000, 50.0000", "test", "0", str(parts["test"].rows[0]))
    country = [(mark.values[1], mark.values[5]) for mark in layers["Other countries"].marks]
    assert country == [("train", "SSD"), ("test", "DEU")]
    assert "Check of x" in check_page(parts, found, "Check of x")
    nowhere = {"train": split([1], lonlat=[[np.nan, np.nan]])}
    assert check_page(nowhere, check(nowhere, images=0), "x") is None
    assert draw_places(nowhere, check(nowhere, images=0), "x") is None
