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


def test_a_home_after_an_equals_sign_is_the_home(points, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    encode("points.csv", "--encoder", "wrap", "--output=~/new/out.csv")
    assert (tmp_path / "home/new/out.csv").exists()
    assert not Path("~").exists()


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


# --- which columns, which CRS, which index ------------------------------------------------------


def expected_of(*lonlat):
    return create_encoder("wrap").eval().features(torch.tensor(lonlat, dtype=torch.float64)).numpy()


XY = pd.DataFrame({"x": [10.0, 20.0], "y": [50.0, 60.0]})


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        [Point(-100, 0), Point(-110, 5)],
        [Point(-100, 0).buffer(1), Point(-110, 5).buffer(1)],
        [None, Point(-110, 5).buffer(1)],
    ],
)
def test_columns_that_are_named_count_although_there_is_geometry(geometry):
    frame = XY if geometry is None else geopandas.GeoDataFrame(XY, geometry=geometry, crs="EPSG:4326")
    frame.to_parquet("in.parquet")
    for name in ("out.csv", "out.parquet"):
        encode("in.parquet", "--lon", "x", "--lat", "y", "--encoder", "wrap", "--output", name)
    out = geopandas.read_parquet("out.parquet")
    for found in (out, pd.read_csv("out.csv")):
        np.testing.assert_allclose(embedding_of(found), expected_of((10, 50), (20, 60)), atol=1e-6)
    np.testing.assert_array_equal(np.stack([out.geometry.x, out.geometry.y], 1), XY)  # what was encoded
    assert out.geometry.name == ("geometry" if geometry is None else "points")
    if geometry is not None:  # nothing of the input is lost
        kept = out["geometry"]
        assert kept.crs == "EPSG:4326"
        assert all(a is b or a.equals(b) for a, b in zip(kept, geometry, strict=True))


def test_columns_of_the_usual_names_count_where_geometry_is_no_points():
    boxes = [Point(-100, 0).buffer(1), Point(-110, 5).buffer(1)]
    for names in (("lon", "lat"), ("Longitude", "latitude"), ("lng", "LAT")):
        frame = XY.set_axis(names, axis=1)
        geopandas.GeoDataFrame(frame, geometry=boxes, crs="EPSG:4326").to_parquet("in.parquet")
        encode("in.parquet", "--encoder", "wrap", "--output", "out.csv")
        found = embedding_of(pd.read_csv("out.csv"))
        np.testing.assert_allclose(found, expected_of((10, 50), (20, 60)), atol=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32632", "EPSG:4326", "OGC:CRS84", None])
def test_all_geometry_comes_in_degrees(crs):
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[Point(10, 50)], crs="EPSG:4326")
    frame = frame.set_crs(None, allow_override=True) if crs is None else frame.to_crs(crs)
    frame["second"] = geopandas.GeoSeries([Point(11, 51)], crs="EPSG:4326").to_crs("EPSG:3857")
    frame.to_parquet("in.parquet")
    encode("in.parquet", "--encoder", "wrap", "--output", "out.parquet")
    out = geopandas.read_parquet("out.parquet")
    assert out.crs == out["second"].crs == "EPSG:4326"
    np.testing.assert_allclose((out.geometry.x[0], out.geometry.y[0]), (10, 50), atol=1e-7)
    np.testing.assert_allclose((out["second"].x[0], out["second"].y[0]), (11, 51), atol=1e-7)
    encode("in.parquet", "--encoder", "wrap", "--output", "out.csv")  # as text, in degrees too
    text = pd.read_csv("out.csv")["geometry"][0]
    np.testing.assert_allclose([float(n) for n in text[7:-1].split()], (10, 50), atol=1e-7)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("places", [True, False])
def test_an_index_is_a_column_like_any_other(places, suffix):
    frame = pd.DataFrame({"lon": [10.0, 20.0], "lat": [50.0, 60.0], "n": [1, 2]})
    several = pd.MultiIndex.from_tuples([("s7", 1), ("s9", 2)], names=["site", "year"])
    unnamed = pd.Index(["s7", "s9"])
    for index, names in (
        (several, ["site", "year"]),
        (several[:].droplevel(1), ["site"]),
        (unnamed, ["index"]),
    ):
        given = frame.set_index(index)
        if places:
            given = geopandas.GeoDataFrame(given, geometry=[Point(1, 2)] * 2, crs="EPSG:4326")
        given.to_parquet("in.parquet")
        encode("in.parquet", "--encoder", "wrap", "--output", f"out.{suffix}")
        out = pd.read_csv("out.csv") if suffix == "csv" else pd.read_parquet("out.parquet")
        assert list(out.columns[: len(names)]) == names
        assert out[names[0]].tolist() == ["s7", "s9"]
        assert out["n"].tolist() == [1, 2]


def test_several_columns_of_one_meaning_are_refused(capsys):
    cases = {
        "lon,lat,lon\n1,2,3\n": "columns lon and lon both name the lon; keep one",
        "lon,lat,Longitude\n1,2,3\n": "columns lon and Longitude both name the lon; keep one",
        "lon,lat,latitude\n1,2,3\n": "columns lat and latitude both name the lat; keep one",
        "lng,lat, lng \n1,2,3\n": "columns lng and lng both name the lon; keep one",
    }
    for text, message in cases.items():
        Path("in.csv").write_text(text, encoding="utf-8")
        assert main(["encode", "in.csv", "--encoder", "wrap", "--output", "out.csv"]) == 2
        assert message in capsys.readouterr().err
        assert not Path("out.csv").exists()
    Path("in.csv").write_text("x,lat,x\n1,2,3\n", encoding="utf-8")
    words = ["encode", "in.csv", "--lon", "x", "--encoder", "wrap", "--output", "out.csv"]
    assert main(words) == 2
    assert "has several columns x; keep one" in capsys.readouterr().err
    Path("in.csv").write_text("lon,lat,lon.1,longitude\n1,2,3,4\n", encoding="utf-8")  # asked for by name
    encode("in.csv", "--lon", "lon.1", "--encoder", "wrap", "--output", "out.csv")
    np.testing.assert_allclose(embedding_of(pd.read_csv("out.csv")), expected_of((3, 2)), atol=1e-6)


def test_an_index_that_is_a_column_too_is_refused(capsys):
    frame = pd.DataFrame({"lon": [1.0], "lat": [2.0], "site": ["a"]})
    frame.set_index(pd.Index(["b"], name="site")).to_parquet("in.parquet")
    assert main(["encode", "in.parquet", "--encoder", "wrap", "--output", "out.csv"]) == 2
    assert "site" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (("--encoder", "sh", "--finest-km", "10"), "--finest-km: is of fourier"),
        (
            ("--encoder", "fourier", "--finest-km", "10", "--legendre-polys", "20"),
            "--legendre-polys: is of sh",
        ),
        (("--encoder", "wrap", "--capsules", "1"), "--capsules: is of geoclip"),
        (("--checkpoint", "best.ckpt", "--finest-km", "10"), "--finest-km: is of fourier"),
    ],
)
def test_options_of_another_encoder_are_refused(points, argv, flag, capsys):
    assert main(["encode", "points.csv", *argv, "--output", "out.csv"]) == 2
    message = capsys.readouterr().err
    assert flag in message
    assert "leave it out" in message
    assert not Path("out.csv").exists()


def test_a_second_geometry_of_another_planet_is_refused(capsys):
    shapes = geopandas.GeoSeries([Point(1, 2)], crs="+proj=longlat +R=1737400 +no_defs")
    frame = geopandas.GeoDataFrame({"crater": shapes}, geometry=[Point(1, 2)], crs="EPSG:4326")
    frame.to_parquet("in.parquet")
    assert main(["encode", "in.parquet", "--encoder", "wrap", "--output", "out.parquet"]) == 2
    assert "geometry in column crater: its CRS (" in capsys.readouterr().err
    assert not Path("out.parquet").exists()
