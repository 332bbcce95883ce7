"""Pictures, tables, outlines, configurations, reports, checkpoints: files, and nothing behind them."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import shapely
from PIL import EpsImagePlugin, Image

from geomoe.checking.countries import read_outlines
from geomoe.checkpoint import load_checkpoint
from geomoe.cli import main
from geomoe.config.load import load
from geomoe.errors import CheckpointError, ConfigError, DataError, GeomoeError, InputError
from geomoe.evaluation.reports.report import Report
from geomoe.fetching.unpack import gunzip
from geomoe.inference.journal import Journal, partial_path
from geomoe.models.backbone_weights import read_state
from geomoe.reading.pictures import read_rgb
from geomoe.reading.sheets import read_sheet
from geomoe.support.files import open_regular, refuse_special

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) (w) file showpage\n%%EOF\n"


@pytest.fixture
def pipe(tmp_path):
    """Make a pipe of this name: who opens it to read waits until somebody writes."""

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return make


def test_pipes_are_refused_at_once(pipe, tmp_path):
    readers = {
        "a.png": read_rgb,
        "a.csv": read_sheet,
        "a.parquet": read_sheet,
        "a.yaml": lambda path: load(None, path),
        "a.json": Report.load,
        "a.ckpt": load_checkpoint,
        "a.pth": read_state,
        "a.safetensors": read_state,
        "a.geojson": read_outlines,
        "a.shp": read_outlines,
    }
    for name, read in readers.items():
        with pytest.raises(GeomoeError, match=r"is a pipe, not a file|no such") as caught:
            read(pipe(name))
        assert len(str(caught.value).splitlines()) == 1
    pipe(partial_path(tmp_path / "out.csv").name)
    with pytest.raises(InputError, match="is a pipe, not a file"):
        Journal(tmp_path / "out.csv", "key", resume=True)


@pytest.mark.parametrize("verb", ["encode", "train", "summarize", "predict"])
def test_verbs_refuse_pipes(verb, pipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pipe("report.json")
    words = {
        "encode": ["encode", str(pipe("a.csv")), "--encoder", "sh", "--output", "b.csv"],
        "train": ["train", "--config", str(pipe("a.yaml")), "--print-config"],
        "summarize": ["summarize", str(tmp_path / "report.json")],
        "predict": ["predict", "--checkpoint", str(pipe("a.ckpt")), "a.csv", "--output", "b.csv"],
    }[verb]
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_devices_and_sockets(tmp_path):
    for path, what in ((os.devnull, "a device"), ("/dev/zero", "a device")):
        with pytest.raises(DataError, match=f"is {what}, not a file"):
            open_regular(path, DataError)
    refuse_special(tmp_path)  # folders are told of by whoever opens them
    refuse_special(tmp_path / "gone")


def test_postscript_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(EPS)
    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *rest, **more: ran.append(rest))
    with pytest.raises(DataError, match="not a picture"):
        read_rgb(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image, contextlib.suppress(AssertionError, AttributeError):
        image.load()  # what Pillow does by itself
    assert ran


def test_postscript_is_not_run_by_wilds_either(tmp_path, monkeypatch):
    from geomoe.datasets.wilds.images import WildsImages

    (tmp_path / "a.png").write_bytes(EPS)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "ghostscript-that-is-there")
    data = object.__new__(WildsImages)
    inner = SimpleNamespace(
        dataset_name="x", get_input=lambda row: Image.open(tmp_path / "a.png").convert("RGB")
    )
    data.__dict__.update(inner=inner, indices=np.array([0]))
    with pytest.raises(DataError, match="cannot read the image"):
        data.load_image(0)
    assert EpsImagePlugin.gs_binary is False


# --- outlines -----------------------------------------------------------------------------------


def squares():
    boxes = [shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)]
    return geopandas.GeoDataFrame({"ISO_A3": ["AAA", "BBB"]}, geometry=boxes, crs="EPSG:4326")


@pytest.mark.parametrize("name", ["a.geojson", "a.shp", "a.gpkg", "a.parquet", "utm.geojson"])
def test_outlines_of_every_kind_that_is_read(name, tmp_path):
    frame = squares()
    if name == "utm.geojson":
        frame.to_crs(3857).to_file(tmp_path / name, driver="GeoJSON")
    elif name == "a.parquet":
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_file(tmp_path / name)
    found = read_outlines(tmp_path / name)
    assert list(found) == ["AAA", "BBB"]
    for code, box in zip(found, frame.geometry, strict=True):
        assert found[code].symmetric_difference(box).area < 1e-6


def hostile_outlines(url):
    collection = {
        "type": "FeatureCollection",
        "features": [],
        "crs": {"type": "link", "properties": {"href": url}},
    }
    named = {"type": "name", "properties": {"name": f"+proj=longlat +nadgrids={url}/a"}}
    return {
        "a.vrt": '<OGRVRTDataSource><OGRVRTLayer name="a">'
        f"<SrcDataSource>/vsicurl/{url}/a.csv</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
        "b.geojson": f"<OGRWFSDataSource><URL>{url}/wfs</URL></OGRWFSDataSource>",
        "c.shp": f'<wfs:FeatureCollection xmlns:wfs="http://opengis.net" schemaLocation="{url}/d.xsd"/>',
        "d.csv": f"WKT,iso_a3\n/vsicurl/{url}/e.csv,AAA\n",
        "e.geojson": json.dumps(collection | {"crs": named}),
        "f.geojson": json.dumps(
            {"features": [{"type": "Feature", "geometry": None, "properties": {"href": url}}]}
        ),
        "g.geojson": json.dumps({"conformsTo": [], "links": [{"rel": "data", "href": f"{url}/collections"}]}),
    }


@pytest.mark.parametrize(
    "name", ["a.vrt", "b.geojson", "c.shp", "d.csv", "e.geojson", "f.geojson", "g.geojson"]
)
def test_outlines_that_lead_elsewhere(name, quiet, tmp_path):
    path = tmp_path / name
    path.write_text(hostile_outlines(quiet.address)[name])
    with pytest.raises(DataError) as caught:
        read_outlines(path)
    assert len(str(caught.value).splitlines()) == 1


def test_outlines_in_a_database_with_virtual_tables(tmp_path):
    squares().to_file(tmp_path / "a.gpkg")
    with sqlite3.connect(tmp_path / "a.gpkg") as base:
        base.execute("CREATE VIRTUAL TABLE x USING fts4(a)")
    base.close()
    with pytest.raises(DataError, match="virtual tables"):
        read_outlines(tmp_path / "a.gpkg")


# --- configurations, reports, weights -----------------------------------------------------------


def test_a_few_lines_of_yaml_do_not_grow(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"aliases \(\*a0\) are not read; write the value again \(line 2"):
        load(None, tmp_path / "a.yaml")


def test_yaml_makes_no_objects(tmp_path):
    (tmp_path / "a.yaml").write_text(f"seed: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(None, tmp_path / "a.yaml")
    assert not (tmp_path / "made").exists()


def test_a_report_of_brackets(tmp_path):
    (tmp_path / "report.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="cannot read a report"):
        Report.load(tmp_path)


def test_checkpoints_run_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    import torch

    torch.save({"geomoe": Bomb()}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="nothing was executed"):
        load_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="would run code"):
        read_state(tmp_path / "a.ckpt")
    assert not (tmp_path / "made").exists()


def test_a_gzipped_file_does_not_grow_without_end(tmp_path):
    content = gzip.compress(bytes(5000))
    assert gunzip(content, tmp_path / "a.gz") == bytes(5000)
    assert gunzip(content, tmp_path / "a.gz", 5000) == bytes(5000)
    with pytest.raises(DataError, match="refused: it grows beyond 4,999 bytes"):
        gunzip(content, tmp_path / "a.gz", 4999)
    with pytest.raises(EOFError):
        gunzip(content[:-9], tmp_path / "a.gz")
