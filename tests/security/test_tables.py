"""Tables with points from anybody: nothing in them runs, leads to a server or to another file."""

from __future__ import annotations

import json
import os
import sqlite3

import geopandas
import pytest
from hostile_files import write_hostile_gpkg

from geomoe.errors import DataError
from geomoe.inference.points import read_points
from geomoe.reading.image_table import read_table

GRIDS = (
    'GEOGCS["x",DATUM["d",SPHEROID["s",6378137,298]],PRIMEM["g",0],UNIT["degree",0.0174532925199433],'
    'EXTENSION["PROJ4","+proj=longlat +nadgrids=/etc/passwd"]]'
)


@pytest.fixture
def points():
    names = {"filename": ["a.tif", "b.tif"], "label": ["x", "y"]}
    return geopandas.GeoDataFrame(names, geometry=geopandas.points_from_xy([1, 2], [3, 4]), crs="EPSG:4326")


def refused(path, message):
    for read in (read_table, read_points):
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["t.gpkg", "t.shp", "t.geojson"])
@pytest.mark.parametrize("kind", ["vrt", "wfs", "gml", "csv", "zip"])
def test_other_drivers_under_these_names(name, kind, quiet, tmp_path):
    url = quiet.address
    content = {
        "vrt": f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{url}/a.csv</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>",
        "wfs": f"<OGRWFSDataSource><URL>{url}/wfs</URL></OGRWFSDataSource>",
        "gml": f'<wfs:FeatureCollection xmlns:wfs="http://opengis.net" schemaLocation="{url}/d.xsd"/>',
        "csv": "filename,label,WKT\na,b,POINT(1 1)\n",
        "zip": "PK\x03\x04" + "x" * 100,
    }[kind]
    (tmp_path / name).write_text(content)
    refused(tmp_path / name, "cannot be read as a table of points: expected GeoJSON")


@pytest.mark.parametrize("case", write_hostile_gpkg.cases)
def test_geopackages_that_run_code_or_reach_out(case, quiet, points, tmp_path, monkeypatch):
    monkeypatch.setenv("OGR_GEOCODE_QUERY_TEMPLATE", f"{quiet.address}/?q=%s")
    path = tmp_path / "t.gpkg"
    points.to_file(path, engine="pyogrio")
    message = write_hostile_gpkg(path, case, quiet.address)
    if message is not None:
        refused(path, message)
        return
    before = path.read_bytes()
    assert read_table(path).lonlat.tolist() == [[1, 3], [2, 4]]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.gpkg"]


def test_a_geopackage_that_is_open_elsewhere(points, tmp_path):
    path = tmp_path / "t.gpkg"
    points.to_file(path, engine="pyogrio")
    for end in ("-wal", "-journal"):
        (tmp_path / f"t.gpkg{end}").write_bytes(b"not yet in the file")
        refused(path, f"its last changes are in t.gpkg{end} beside it; close the program")
        assert (tmp_path / f"t.gpkg{end}").read_bytes() == b"not yet in the file"
        (tmp_path / f"t.gpkg{end}").unlink()
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA journal_mode=WAL")
    base.close()
    assert read_table(path).lonlat.tolist() == [[1, 3], [2, 4]]
    assert os.listdir(tmp_path) == ["t.gpkg"]


@pytest.mark.parametrize("end", [".shx", ".DBF", ".prj", ".qix", ".cpg"])
def test_a_pipe_beside_a_shapefile(end, points, tmp_path):
    points.to_file(tmp_path / "t.shp", engine="pyogrio")
    (tmp_path / f"t{end.lower()}").unlink(missing_ok=True)
    os.mkfifo(tmp_path / f"t{end}")
    refused(tmp_path / "t.shp", f"t{end}: is a pipe, not a file")


def test_a_crs_that_names_a_file(points, tmp_path):
    points.to_file(tmp_path / "t.shp", engine="pyogrio")
    (tmp_path / "t.prj").write_text(GRIDS)
    refused(tmp_path / "t.shp", "its CRS names a file")
    points.set_crs(GRIDS, allow_override=True).to_parquet(tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "its CRS names a file")
    (tmp_path / "t.prj").write_bytes(os.urandom(300))
    assert read_table(tmp_path / "t.shp").lonlat.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("crs", ["link", "definition", "list", "unknown"])
def test_the_crs_of_geojson(crs, quiet, points, tmp_path):
    declared = {
        "link": {"type": "link", "properties": {"href": f"{quiet.address}/crs"}},
        "definition": {"properties": {"name": f"+proj=longlat +nadgrids={quiet.address}/a"}},
        "list": [quiet.address],
        "unknown": {"properties": {"name": "EPSG:999999"}},
    }[crs]
    content = json.loads(points.to_json()) | {"crs": declared}
    (tmp_path / "t.geojson").write_text(json.dumps(content))
    refused(
        tmp_path / "t.geojson", "its CRS is no code such as EPSG:4326|cannot be read as a table of points"
    )


@pytest.mark.parametrize("deep", [101, 200_000])
def test_geojson_of_brackets(deep, tmp_path):
    (tmp_path / "t.geojson").write_text('{"features": ' + "[" * deep + "]" * deep + "}")
    refused(tmp_path / "t.geojson", "is nested more than 100 deep")


def test_geojson_without_end(points, tmp_path, monkeypatch):
    monkeypatch.setattr("geomoe.reading.vectors.MOST_BYTES", 1000)
    (tmp_path / "t.geojson").write_text(points.to_json() + " " * 1000)
    refused(tmp_path / "t.geojson", "has more than 1,000 bytes; give another file")
