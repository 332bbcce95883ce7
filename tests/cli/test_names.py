"""Names of files that are not UTF-8: one line before any work, and nothing is left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import geopandas
import numpy as np
import pytest
from PIL import Image

from geomoe.cli import main

BAD = os.fsdecode(b"caf\xe9")
pytestmark = pytest.mark.skipif(os.sys.platform == "darwin", reason="its file system has UTF-8 names alone")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a table and images, and one of a bad name with the same and tables of other kinds."""
    root, rng = tmp_path_factory.mktemp("names"), np.random.default_rng(0)
    for folder in ("good", BAD):
        (root / folder).mkdir()
        for number in range(6):
            picture = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
            picture.save(root / folder / f"{number}.png")
        rows = [f"{number}.png,{'ab'[number % 2]},{number},{number}" for number in range(6)]
        (root / folder / "t.csv").write_text("\n".join(["filename,label,lon,lat", *rows]) + "\n")
    frame = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy([1, 2], [3, 4]), crs=4326)
    frame["name"] = ["a", "b"]
    frame.to_parquet(root / "k.parquet")
    frame.to_file(root / "k.gpkg")
    frame.to_file(root / "k.shp")
    for path in root.glob("k.*"):
        path.rename(root / BAD / path.name)
    return root


@pytest.fixture
def work(made, monkeypatch):
    """The same folder for all tests: nothing is left in it."""
    monkeypatch.chdir(made)
    return made


def everything(folder):
    return sorted(os.fsencode(path) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "words",
    [
        "predict --checkpoint CKPT good/t.csv --output BAD.csv",
        "predict --checkpoint CKPT good --output BAD/p.parquet",
        "predict --checkpoint CKPT BAD/t.csv --output p.csv",
        "predict --checkpoint CKPT BAD --output p.csv",
        "predict --checkpoint BAD.ckpt good --output p.csv",
        "evaluate --checkpoint CKPT --output BAD",
        "evaluate --checkpoint BAD.ckpt",
        "map-experts --checkpoint CKPT --output BAD",
        "map-experts --checkpoint BAD.ckpt --output map",
        "diagnose --checkpoint CKPT --output BAD",
        "summarize good --output BAD",
        "encode good/t.csv --encoder wrap --output BAD.parquet",
        "encode BAD/k.gpkg --encoder wrap --output e.csv",
        "encode BAD/k.shp --encoder wrap --output e.csv",
        "encode BAD/k.parquet --encoder wrap --output e.csv",
        "train folder --data-root BAD",
        "train folder --data-root good --metadata BAD/t.csv",
        "train folder --data-root good --output BAD",
        "data check folder --data-root BAD --metadata t.csv",
        "data check folder --data-root good --metadata t.csv --output BAD",
        "data cache folder --data-root BAD --metadata t.csv",
        "data sample folder BAD",
        "bench --data folder --data-root BAD --algorithms erm --budget 2 --output b",
        "bench --data folder --data-root good --algorithms erm --budget 2 --output BAD",
        "quickstart --output BAD",
    ],
)
def test_every_verb(words, work, checkpoints, capsys):
    before = everything(work)
    checkpoint = str(checkpoints["moge"])
    assert main([word.replace("BAD", BAD).replace("CKPT", checkpoint) for word in words.split()]) == 2
    err = capsys.readouterr().err
    said = [line for line in err.splitlines() if "UTF-8" in line]
    assert len(said) == 1
    assert "caf\\xe9" in said[0] or "caf\\udce9" in said[0]
    assert everything(work) == before


@pytest.mark.parametrize("name", [BAD + ".csv", BAD + ".tsv", BAD + ".geojson"])
def test_points_of_text_may_have_any_name(name, tmp_path):
    point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    table = {
        ".csv": "lon,lat\n1,2\n",
        ".tsv": "lon\tlat\n1\t2\n",
        ".geojson": json.dumps({"type": "FeatureCollection", "features": [point]}),
    }
    (tmp_path / name).write_text(table[Path(name).suffix])
    (tmp_path / "plain.csv").write_text(table[".csv"])
    last = []
    for given in (name, "plain.csv"):
        argv = ["encode", str(tmp_path / given), "--encoder", "wrap", "--output", str(tmp_path / "e.csv")]
        assert main([*argv, "--quiet"]) == 0
        last.append((tmp_path / "e.csv").read_text().splitlines()[1].split(",")[-5:])
    assert last[0] == last[1]
    assert last[0][0] == "True"
