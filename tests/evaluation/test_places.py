"""Places of a report, and its map, against counting by hand."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from geomoe.errors import InputError
from geomoe.evaluation import Report
from geomoe.evaluation import places as module
from geomoe.evaluation.places import places_of, snap
from geomoe.evaluation.reports.score_map import _cells, score_layers, score_page
from geomoe.evaluation.reports.values import Bootstrap
from geomoe.evaluation.scores import score
from geomoe.inference import Predictions
from geomoe.support.plain import to_plain

REGIONS = ["Asia", "Europe", "Africa"]


def some(places, domain, right, classes=3):
    """Predictions at places: label 0 everywhere, right or taken for class 1."""
    count = len(places)
    logits = np.zeros((count, classes), dtype=np.float32)
    logits[np.arange(count), np.where(right, 0, 1)] = 1
    return Predictions(
        index=np.arange(count), lonlat=np.array(places, dtype=float), domain=np.array(domain),
        block=np.arange(count), label=np.zeros(count, dtype=np.int64), logits=logits,
        weights=np.zeros((0, count, 0), dtype=np.float32),
    )  # fmt: skip


@pytest.fixture
def scattered():
    """600 samples at 90 places of 3 domains, a tenth of unknown place."""
    rng = np.random.default_rng(1)
    sites = np.column_stack([rng.uniform(-180, 180, 90), rng.uniform(-90, 90, 90)])
    at = rng.integers(0, 90, 600)
    lonlat = sites[at]
    lonlat[::10] = np.nan
    return {name: some(lonlat, at % 4 - 1, rng.random(600) < 0.4) for name in ("all", "shared")}


def test_every_sample_is_counted_once_at_its_place(scattered):
    found = places_of(scattered)
    assert found.step == 0
    assert found.unplaced == 60
    rows = zip(found.domain, found.lon, found.lat, strict=True)
    for choice, one in scattered.items():
        count, right = Counter(), Counter()
        for (lon, lat), domain, correct in zip(one.lonlat, one.domain, one.correct, strict=True):
            if not np.isnan(lon):
                count[domain, round(lon, 4), round(lat, 4)] += 1
                right[domain, round(lon, 4), round(lat, 4)] += int(correct)
        keys = list(zip(found.domain, found.lon, found.lat, strict=True))
        assert dict(zip(keys, found.count, strict=True)) == dict(count)
        assert dict(zip(keys, found.correct[choice], strict=True)) == {key: right[key] for key in count}
    assert len(set(rows)) == len(found.count)
    json.dumps(to_plain(found))  # plain numbers


def test_too_many_places_share_cells_and_none_is_lost(scattered, monkeypatch):
    monkeypatch.setattr(module, "MOST", 60)
    found = places_of(scattered)
    assert 0 < found.step <= 3
    assert len(found.count) <= 90
    assert sum(found.count) == 540
    assert (
        sum(found.correct["all"]) == scattered["all"].correct[~np.isnan(scattered["all"].lonlat[:, 0])].sum()
    )


@pytest.mark.parametrize("step", module.STEPS[1:])
def test_cells_hold_their_places_and_divide_the_cells_of_the_map(step):
    rng = np.random.default_rng(0)
    lonlat = np.column_stack([rng.uniform(-180, 180, 500), rng.uniform(-90, 90, 500)])
    lonlat[:3] = [[-180, -90], [179.9999, 90], [0, 0]]
    middle = snap(lonlat, step)
    assert np.abs(middle - lonlat).max() <= step / 2 + 1e-9
    assert np.abs(middle).max(axis=0).tolist() <= [180, 90]
    assert (6 / step) == pytest.approx(round(6 / step))


def test_no_known_place_no_map():
    found = some([[np.nan, np.nan]] * 4, [0] * 4, [True] * 4)
    assert places_of({"all": found}) is None
    without = report({"all": found}, algorithm="erm")
    assert score_layers(without) == []
    with pytest.raises(InputError, match="no places"):
        score_page(without, [])


def report(judged, regions=REGIONS, algorithm="moge", **changes):
    scores = {
        name: score(one, regions, changes.get("held_out"), bootstrap=20) for name, one in judged.items()
    }
    facts = {
        "checkpoint": "best.ckpt", "algorithm": algorithm, "seed": 0, "data": "fmow", "split": "test",
        "held_out": None, "regions": tuple(regions), "domain_unit": "region", "data_hash": "abc",
        "split_seed": 0, "experts": "all", "classes": ("a", "b", "c"),
        "bootstrap": Bootstrap(20, 0.95, "spatial block"),
    }  # fmt: skip
    return Report(**{**facts, "scores": scores, "places": places_of(judged), **changes})


def test_layers_of_regions_cells_and_places(scattered):
    data = report(scattered, held_out="Asia")
    layers = score_layers(data)
    assert [(one.group, one.name) for one in layers] == [
        (group, name)
        for group in ("All experts", "Shared expert alone")
        for name in ("Regions", "Cells", "Places", "Classes")
    ]
    regions, cells, places, classes = layers[:4]
    parts = data.scores["all"].regions
    shown = {mark.region: mark.values for mark in regions.marks}
    assert {name: f"{100 * part.accuracy:.1f}" for name, part in parts.items()} == {
        name: values[1] for name, values in shown.items()
    }
    assert shown["Asia"][0] == "Asia (held out)"
    count, right = defaultdict(int), defaultdict(int)
    for (lon, lat), correct in zip(scattered["all"].lonlat, scattered["all"].correct, strict=True):
        if not np.isnan(lon):
            corner = (np.floor(lon / 6) * 6, np.floor(lat / 6) * 6)
            count[corner] += 1
            right[corner] += int(correct)
    assert {mark.box[:2]: mark.values[1:] for mark in cells.marks} == {
        corner: (f"{100 * right[corner] / n:.1f}", str(n)) for corner, n in count.items()
    }
    assert {mark.box[:2] for mark in cells.marks if mark.faint} == {key for key, n in count.items() if n < 10}
    assert sum(int(mark.values[3]) for mark in places.marks) == 540
    assert all(mark.faint == (int(mark.values[3]) < 10) for mark in places.marks)
    assert [mark.values[0] for mark in classes.marks] == ["b", "a"]  # the wrong answer, then the label
    assert all(mark.lonlat is mark.box is mark.region is None for mark in classes.marks)
    assert {mark.values[1] for mark in places.marks} == {*REGIONS, "unknown"}
    assert "60 samples of unknown place are not on the map." in score_page(data, layers)


def test_each_camera_at_its_place_and_in_the_table_where_it_has_none():
    names = [f"camera {number}" for number in range(4)]
    lonlat = [[37.0, 0.3]] * 12 + [[-89.0, 17.5]] * 3 + [[np.nan, np.nan]] * 5
    domain = [0] * 12 + [2] * 3 + [3] * 5
    right = [True] * 6 + [False] * 6 + [True] * 3 + [False] * 5
    data = report({"all": some(lonlat, domain, right)}, names, algorithm="erm", domain_unit="camera")
    cameras, classes = score_layers(data)
    assert classes.name == "Classes"
    assert cameras.name == "Cameras"
    assert [(mark.values[0], mark.values[1], mark.lonlat, mark.faint) for mark in cameras.marks] == [
        ("camera 3 (place unknown)", "0.0", None, True),
        ("camera 0", "50.0", (37.0, 0.3), False),
        ("camera 2", "100.0", (-89.0, 17.5), True),
    ]


@pytest.mark.parametrize(
    ("side", "lon", "lat", "name"),
    [
        (6.0, 13.4, 52.5, "12° E, 48° N"),
        (0.01, -179.995, -0.005, "180° W, 0.01° S"),
        (0.01, 123.456, 45.678, "123.45° E, 45.67° N"),
        (0.0001, 123.45675, -45.67895, "123.4567° E, 45.679° S"),
    ],
)
def test_names_of_small_cells_keep_their_digits(side, lon, lat, name):
    """A name of four digits would call a hundred cells of 0.01 degrees alike."""
    columns = SimpleNamespace(
        lon=np.array([lon]), lat=np.array([lat]), samples=np.array([20]), correct=np.array([10])
    )
    (mark,) = _cells(columns, "all", side).marks
    assert mark.values[0] == name
