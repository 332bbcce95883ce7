"""Every row comes out, in order, as it was, with the embedding that the encoder gives."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import torch
from shapely.geometry import Point

from geomoe import create_encoder
from geomoe.cli import main
from geomoe.inference import load
from geomoe.inference import points as points_module

CSV = """id,lon,lat,note
007,10.50,50,"a, b"
8,,,unknown
9,-179.999,-90,
10,NaN,nan,also unknown
11,190,0,wraps
"""
LONLAT = np.array([[10.5, 50], [np.nan, np.nan], [-179.999, -90], [np.nan, np.nan], [-170, 0]])
KNOWN = [True, False, True, False, True]


@pytest.fixture
def points(tmp_path):
    (tmp_path / "points.csv").write_text(CSV, encoding="utf-8")


def encode(*argv):
    assert main(["encode", *map(str, argv)]) == 0


def embedding_of(frame):
    return frame[[name for name in frame.columns if name.startswith("embedding_")]].to_numpy(np.float64)


def test_csv_to_csv(points, capsys):
    encode("points.csv", "--encoder", "sh", "--legendre-polys", "4", "--output", "out.csv")
    out = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    given = pd.read_csv("points.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(out[given.columns], given)  # digit for digit
    assert (out["has_location"] == "True").tolist() == KNOWN
    expected = create_encoder("sh", legendre_polys=4).eval().features(torch.from_numpy(LONLAT))
    assert embedding_of(out).shape == (5, 16)
    np.testing.assert_allclose(embedding_of(out), expected.numpy(), rtol=1e-8, atol=0)
    assert capsys.readouterr().out.splitlines() == [
        "output          out.csv",
        "rows            5",
        "unknown_places  2",
        "dimensions      16",
    ]


def test_csv_to_geoparquet(points):
    encode("points.csv", "--encoder", "cartesian3d", "--output", "new/out.parquet")
    out = geopandas.read_parquet("new/out.parquet")
    assert out.crs == "EPSG:4326"
    assert out["id"].tolist() == ["007", "8", "9", "10", "11"]
    assert out["has_location"].tolist() == KNOWN == (~out.geometry.isna()).tolist()
    np.testing.assert_array_equal(out.geometry[KNOWN].x, LONLAT[KNOWN, 0])
    expected = create_encoder("cartesian3d").eval().features(torch.from_numpy(LONLAT)).numpy()
    np.testing.assert_array_equal(embedding_of(out), expected.astype(np.float64))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", None])
def test_geoparquet_in_any_crs(crs):
    places = [Point(10.5, 50), None, Point(-100, 5)]
    frame = geopandas.GeoDataFrame({"name": list("abc")}, geometry=places, crs="EPSG:4326", index=[7, 3, 5])
    frame = frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)
    frame.to_parquet("points.parquet")
    encode("points.parquet", "--encoder", "wrap", "--output", "out.parquet")
    out = geopandas.read_parquet("out.parquet")
    assert out["name"].tolist() == list("abc")
    assert out["has_location"].tolist() == [True, False, True]
    lonlat = torch.tensor([[10.5, 50], [np.nan, np.nan], [-100, 5]], dtype=torch.float64)
    expected = create_encoder("wrap").eval().features(lonlat).numpy()
    np.testing.assert_allclose(embedding_of(out), expected, atol=1e-6)


def test_parquet_with_columns_of_other_names():
    frame = pd.DataFrame({"longitude": [10.5, None], "latitude": [50.0, None], "n": [1, 2]})
    frame.to_parquet("points.parquet")
    encode(
        "points.parquet",
        "--lon",
        "longitude",
        "--lat",
        "latitude",
        "--encoder",
        "wrap",
        "--output",
        "out.csv",
    )
    out = pd.read_csv("out.csv")
    assert out["n"].tolist() == [1, 2]
    assert out["has_location"].tolist() == [True, False]


def test_the_trained_encoder_of_a_run(points, checkpoints):
    encode("points.csv", "--checkpoint", checkpoints["moge"], "--output", "out.parquet")
    encoder = load(checkpoints["moge"], "cpu").encoder
    with torch.no_grad():
        expected = encoder(torch.from_numpy(LONLAT)).numpy()
    out = embedding_of(geopandas.read_parquet("out.parquet"))
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(out[1], out[3])  # one vector for every unknown place
    assert np.abs(out[1]).max() > 0


def test_chunks_do_not_show(points, monkeypatch):
    encode("points.csv", "--encoder", "wrap", "--output", "whole.csv")
    monkeypatch.setattr(points_module, "_CHUNK", 2)
    encode("points.csv", "--encoder", "wrap", "--output", "chunks.csv")
    assert Path("whole.csv").read_bytes() == Path("chunks.csv").read_bytes()


def test_no_rows(tmp_path):
    (tmp_path / "points.csv").write_text("lon,lat\n", encoding="utf-8")
    encode("points.csv", "--encoder", "wrap", "--output", "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("lon,lat,has_location,embedding_0")


def test_what_was_there_is_replaced_whole(points, tmp_path):
    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    encode("points.csv", "--encoder", "wrap", "--output", "out.csv")
    assert len(pd.read_csv("out.csv")) == 5
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out.csv", "points.csv"]
