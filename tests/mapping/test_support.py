"""What is said of a map counts the land near training places; the whole Earth stands beside it."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import torch

from geomoe.build import build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import EncoderConfig, ModelConfig, RunConfig
from geomoe.coords import great_circle_km, make_grid
from geomoe.earth.land import earth_on
from geomoe.errors import ConfigError
from geomoe.mapping import MapOptions, map_experts
from geomoe.mapping.notebook import folium_layers
from geomoe.mapping.page import render_page
from geomoe.mapping.report import MapReport
from geomoe.mapping.summary import report_map, summarise
from geomoe.mapping.support import box_of, find_support, places_of, reach_of, step_of
from geomoe.mapping.table import RoutingTable

GERMANY = np.array([(lon, lat) for lon in np.arange(7.0, 14.1, 0.5) for lat in np.arange(48.0, 54.1, 0.5)])
NOWHERE = "all cells, none on land"
INFO = {
    "classes": ["a", "b"], "domains": ["all"], "bands": 3, "mean": [100.0] * 3, "std": [50.0] * 3,
    "data_hash": "0" * 64, "held_out": None,
    "places": {"lon": GERMANY[:, 0].tolist(), "lat": GERMANY[:, 1].tolist(), "within_km": 0.0},
}  # fmt: skip


def sided_table(step=1.0, bounds=(-180.0, -90.0, 180.0, 90.0), support=None):
    """Four experts: 0 and 1 west and east of 10 degrees in Europe, 2 elsewhere, 3 in Antarctica."""
    grid = make_grid(step, bounds)
    lon, lat = grid.lonlat().T
    europe = (lon > -10) & (lon < 30) & (lat > 35) & (lat < 70)
    expert = np.where(lat < -60, 3, np.where(europe, (lon > 10).astype(int), 2))
    support = None if support is None else find_support(grid, support)
    return RoutingTable(grid, np.eye(4, dtype=np.float32)[expert][None], ("block 2",), support=support)


def test_verdicts_and_shares_count_the_support():
    """Over the Earth all experts are dominant somewhere; in Germany two of them are dead."""
    summary = summarise(sided_table(support=GERMANY))[0]
    assert "Expert 2 is dead: its mean weight is 0.00 %." in summary.words
    assert "Expert 3 is dead: its mean weight is 0.00 %." in summary.words
    assert summary.report.share[:2].sum() == pytest.approx(1)
    assert summary.whole.words == ()
    assert (summary.whole.report.share > 0).all()
    table = sided_table(support=GERMANY)
    area = np.where(table.support.counted, table.grid.areas(), 0)
    expected = [area[table.dominant(0) == expert].sum() / area.sum() for expert in range(4)]
    np.testing.assert_allclose(summary.report.share, expected, atol=1e-12)
    report = report_map(table, (summary,))
    assert report.blocks[0].support.verdicts == summary.words
    assert report.blocks[0].share_of_land == tuple(summary.whole.report.share.round(6).tolist())
    assert report.blocks[0].support.mutual_information != report.blocks[0].mutual_information
    bare = summarise(sided_table())[0]
    assert bare.whole is None
    np.testing.assert_array_equal(bare.report.share, summary.whole.report.share)


@pytest.mark.slow
def test_support_is_land_within_reach_and_never_the_sea_or_antarctica():
    grid = make_grid(1.0)
    places = np.concatenate([GERMANY, [(0.0, -30.0), (0.0, -80.0)]])  # the open sea, and Antarctica
    found = find_support(grid, places, 200.0)
    cells, earth = grid.lonlat(), earth_on(grid)
    km = np.min([great_circle_km(cells, np.broadcast_to(place, cells.shape)) for place in places], axis=0)
    np.testing.assert_allclose(found.km.ravel(), km, rtol=1e-5, atol=1e-3)
    assert found.near.ravel()[km <= 200].all()
    assert not found.near.ravel()[km > 200 + 0.75 * 111.2].any()
    assert not (found.counted & ~earth.land).any()
    assert not (found.counted & (earth.region == earth.regions.index("Antarctica"))).any()
    assert found.counted[found.near & (earth.region == earth.regions.index("Europe"))].all()
    sea = find_support(grid, np.array([(-150.0, 0.0)]), 200.0)
    assert (sea.counted == sea.near).all()  # there is nothing else to count
    assert find_support(grid, np.empty((0, 2))) is None
    assert len(places_of({})) == 0


def test_the_reach_follows_the_distance_between_places():
    assert reach_of(GERMANY[:1]) == 50.0
    assert reach_of(np.repeat(GERMANY[:1], 5, axis=0)) == 50.0
    apart = great_circle_km(GERMANY[:1], GERMANY[:1] + np.array([0.5, 0]))[0]
    assert 1.2 * apart < reach_of(GERMANY) <= 2.01 * great_circle_km([(7, 48)], [(7, 48.5)])[0]
    assert reach_of(np.array([(0.0, 0.0), (90.0, 0.0)])) == 500.0
    city = (GERMANY - GERMANY.mean(axis=0)) / 40 + [13.4, 52.5]  # some 20 km across, places a kilometre apart
    widest = max(great_circle_km(city, np.broadcast_to(place, city.shape)).max() for place in city)
    assert 15 < widest < 30
    assert reach_of(city) == round(widest / 4)
    assert step_of(box_of(city, reach_of(city))) == 0.002


def test_land_near_a_coast_is_fine_on_a_fine_grid():
    """Half-degree cells would call the whole map land or sea."""
    grid = make_grid(0.05, (9.75, 53.9, 11.25, 54.6))
    found = find_support(grid, np.array([(10.5, 54.2)]), 200.0)
    assert found.near.all()
    cells = [tuple(place) for place in grid.lonlat().round(3).tolist()]
    where = dict(zip(cells, found.counted.ravel().tolist(), strict=True))
    assert where[10.125, 54.325]  # Kiel
    assert where[10.675, 53.925]  # Luebeck
    assert not where[10.675, 54.525]  # Kiel Bight
    assert not where[10.975, 54.075]  # Luebeck Bay


@pytest.mark.parametrize(
    ("places", "inside"),
    [
        (GERMANY, True),
        (GERMANY - (190.5, 0), True),  # across the antimeridian
        (np.array([(-170.0, -20.0), (170.0, -10.0)]), True),
        (np.array([(-100.0, 0.0), (100.0, 10.0), (0.0, 0.0)]), False),
        (np.array([(10.0, 88.0), (190.0, 88.0)]), False),
    ],
)
def test_the_box_holds_every_place_and_is_small(places, inside):
    places = np.stack([(places[:, 0] + 180) % 360 - 180, places[:, 1]], axis=1)
    box = box_of(places, 100.0)
    assert (box is not None) == inside
    if box is None:
        return
    west, south, east, north = box
    assert -180 <= west < 180
    assert east - west < 180
    lon = (places[:, 0] - west) % 360
    margin = 100 / 111.2
    assert ((lon > 0.95 * margin) & (lon < east - west - 0.95 * margin)).all()
    assert ((places[:, 1] >= south + 0.95 * margin) & (places[:, 1] <= north - 0.95 * margin)).all()
    assert north - south < np.ptp(places[:, 1]) + 2.2 * margin
    assert max(east - west, north - south) / step_of(box) >= 120


def test_pages_and_layers_fade_what_is_far(synthetic):
    table = sided_table(support=GERMANY)
    data = synthetic.page_data(render_page(table, summarise(table)))
    assert data["far"].startswith("data:image/png;base64,")
    assert data["counted"] == "land near training places"
    assert data["blocks"][0]["whole"]["words"] == []
    assert any("within" in note and "training places" in note for note in data["notes"])
    names = [layer.layer_name for layer in folium_layers(table)]
    assert names[-1] == "far from training places"
    plain = sided_table()
    bare = synthetic.page_data(render_page(plain, summarise(plain)))
    assert bare["far"] is None
    assert bare["counted"] == "all land"


@pytest.mark.parametrize(
    ("box", "places", "area", "beside"),
    [
        ((0, 45, 20, 55), GERMANY, "land near training places", "all land"),
        ((0, 85, 30, 90), GERMANY, "all cells, none near training places", NOWHERE),
        ((-30, 0, -20, 10), [[-25.0, 5.0]], "cells near training places, none on land", NOWHERE),
        ((0, 85, 30, 90), None, NOWHERE, None),
    ],
)
def test_what_shares_are_of_is_what_there_is(box, places, area, beside, synthetic, tmp_path):
    """A map of the pole or the open sea has no land, and one far from training places none of these."""
    grid = make_grid(1.0, box)
    weights = np.full((1, grid.shape[0] * grid.shape[1], 2), 0.5, dtype=np.float32)
    support = None if places is None else find_support(grid, np.array(places), 200.0)
    table = RoutingTable(grid, weights, ("block 1",), (("Support", "within 200 km"),), support=support)
    summaries = summarise(table)
    report = report_map(table, summaries)
    shown = f"the {area}" if area.startswith("land") else area
    assert f"dominant expert's share of {shown}" in report.text()
    assert (f"beside it, share of {beside}: " in report.text()) is (beside is not None)
    data = synthetic.page_data(render_page(table, summaries)) if box[3] < 85 else None
    assert data is None or (data["counted"], data["beside"]) == (area, beside)
    (tmp_path / "experts.json").write_text(report.as_json(), encoding="utf-8")
    assert MapReport.load(tmp_path) == report


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(1)
    config = RunConfig(
        model=ModelConfig(num_experts=3, top_k=2, expert_noise=1.0),
        encoder=EncoderConfig("sh", legendre_polys=4, out_dim=16, hidden_dim=32),
    )
    return save_checkpoint(tmp_path_factory.mktemp("c") / "a.ckpt", build_network(config, INFO), config, INFO)


@pytest.mark.slow
def test_a_map_fits_its_data_and_tells_the_distance(checkpoint, tmp_path):
    result = map_experts(checkpoint, tmp_path, points=False, device="cpu")
    west, south, east, north = result.table.grid.bounds
    assert west < 7 < 14 < east < 20
    assert south < 48 < 54 < north < 58
    assert result.table.grid.step == 0.05
    with rasterio.open(tmp_path / "experts.tif") as file:
        assert file.count == 2 * (3 + 1) + 1
        assert file.descriptions[-1] == "nearest training place, km"
        np.testing.assert_array_equal(file.read(9), result.table.support.km)
    frame = geopandas.read_parquet(tmp_path / "experts.parquet")
    np.testing.assert_array_equal(frame["nearest_train_km"], result.table.support.km.ravel())
    np.testing.assert_array_equal(frame["support"], result.table.support.counted.ravel())
    report = json.loads((tmp_path / "experts.json").read_text(encoding="utf-8"))
    assert MapReport.load(tmp_path) == result.report
    assert report["facts"]["Support"] == f"within {reach_of(GERMANY):g} km of {len(GERMANY)} training places"
    # beside it stands the whole Earth, not the box alone
    whole = map_experts(
        checkpoint, tmp_path / "w", bounds=(-180, -90, 180, 90), step=1.0, points=False, device="cpu"
    )
    for one, other in zip(result.report.blocks, whole.report.blocks, strict=True):
        np.testing.assert_allclose(one.share_of_land, other.share_of_land, atol=1e-6)
        np.testing.assert_allclose(one.support.share, other.support.share, atol=0.1)
    text = result.text()
    assert "share of the land near training places (within " in text
    assert "beside it, share of all land: " in text


@pytest.mark.slow
def test_an_explicit_reach_and_refusals(checkpoint, tmp_path):
    options = {"points": False, "device": "cpu", "bounds": (0, 40, 20, 60), "step": 1.0}
    near = map_experts(checkpoint, tmp_path / "a", support_km=10.0, **options).table.support
    far = map_experts(checkpoint, tmp_path / "b", support_km=400.0, **options).table.support
    assert near.counted.sum() < far.counted.sum()
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="support_km: expected a positive number of km"):
            map_experts(checkpoint, tmp_path / "c", support_km=wrong, **options)
    assert MapOptions(step=2.0).grid().step == 2.0
    assert MapOptions().grid().shape == (360, 720)
