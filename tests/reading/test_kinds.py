"""Tables of other kinds: the same rows and places from each of them; what is ambiguous is refused."""

from __future__ import annotations

import json
import logging

import geopandas
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pyogrio
import pytest
import shapely

from geomoe.cli import main
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.samples.folder import write
from geomoe.errors import DataError
from geomoe.inference.inputs import collect
from geomoe.inference.points import read_points
from geomoe.reading.image_table import read_table

LONLAT = np.array([[10.5, -20.25], [-170.125, 60.0]])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("name", ["t.gpkg", "t.shp", "t.geojson", "t.parquet"])
def test_points_of_vector_files(tmp_path, name, crs):
    frame = geopandas.GeoDataFrame(
        {"filename": ["a.tif", "b.tif"], "label": ["forêt", "7"]},
        geometry=geopandas.points_from_xy(*LONLAT.T), crs="EPSG:4326",
    ).to_crs(crs)  # fmt: skip
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_file(path, engine="pyogrio")
    found = read_table(path)
    assert found.filename.tolist() == ["a.tif", "b.tif"]
    assert found.label.tolist() == ["forêt", "7"]
    np.testing.assert_allclose(found.lonlat, LONLAT, atol=1e-6)
    np.testing.assert_allclose(read_points(path).places.lonlat, LONLAT, atol=1e-6)
    assert [item.name for item in collect([path])[0]] == ["a.tif", "b.tif"]


def points_of(shapes, crs="EPSG:4326", **columns):
    names = {"filename": ["a.tif", "b.tif"], "label": ["x", "y"]} | columns
    return geopandas.GeoDataFrame(names, geometry=shapes, crs=crs)


@pytest.mark.parametrize("name", ["t.gpkg", "t.shp", "t.geojson"])
def test_one_point_of_a_multipoint_and_no_point(tmp_path, name):
    shapes = [shapely.MultiPoint([(10.5, -20.25)]), None]
    points_of(shapes).to_file(tmp_path / name, engine="pyogrio")
    found = read_table(tmp_path / name)
    np.testing.assert_allclose(found.lonlat, [[10.5, -20.25], [np.nan, np.nan]])
    two = [shapely.MultiPoint([(10.5, -20.25)]), shapely.MultiPoint([(1, 2), (3, 4)])]
    points_of(two).to_file(tmp_path / name, engine="pyogrio")
    with pytest.raises(DataError, match="row 2 is a MultiPoint; save points"):
        read_table(tmp_path / name)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize("name", ["t.gpkg", "t.shp"])
def test_points_without_a_crs(tmp_path, name, caplog):
    points_of(geopandas.points_from_xy(*LONLAT.T), crs=None).to_file(tmp_path / name, engine="pyogrio")
    assert read_table(tmp_path / name).lonlat.tolist() == LONLAT.tolist()
    assert "has no CRS" in caplog.text
    assert "taken as degrees" in caplog.text
    points_of(geopandas.points_from_xy([5e5, 5e5], [5e6, 5e6]), crs=None).to_file(
        tmp_path / name, engine="pyogrio"
    )
    with pytest.raises(DataError, match=r"has no CRS.*, and row 1 \(500000, 5e\+06\) is not in degrees"):
        read_table(tmp_path / name)


def test_a_point_that_its_crs_knows_nothing_of(tmp_path):
    shapes = [shapely.Point(500_000 + k, 5_500_000) for k in range(29)] + [shapely.Point(1e12, 1e12)]
    names = {"filename": [f"{k}.tif" for k in range(30)], "label": ["x", "y"] * 15}
    frame = geopandas.GeoDataFrame(names, geometry=shapes, crs="EPSG:32632")
    frame.to_file(tmp_path / "t.gpkg", engine="pyogrio")
    ((row, _, reason),) = read_table(tmp_path / "t.gpkg").skipped
    assert row == 30
    assert reason == "its point is nowhere on the Earth in the CRS of the table"


@pytest.mark.parametrize("name", ["t.parquet", "t.gpkg"])
@pytest.mark.parametrize("code", ["EPSG:4978", "EPSG:5773"])
def test_points_of_a_crs_without_degrees_are_refused(tmp_path, name, code):
    frame = points_of(geopandas.points_from_xy(*LONLAT.T)).set_crs(code, allow_override=True)
    frame.to_parquet(tmp_path / name) if name == "t.parquet" else frame.to_file(tmp_path / name)
    with pytest.raises(DataError, match=r"its CRS \(.*, (Geocentric|Vertical) CRS\) has no degrees; save it"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("code", ["EPSG:4326+5773", "EPSG:4979", "EPSG:9518"])
def test_heights_beside_degrees_change_no_place(tmp_path, code):
    frame = points_of(geopandas.points_from_xy(*LONLAT.T)).set_crs(code, allow_override=True)
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").lonlat.tolist() == LONLAT.tolist()


def test_geometry_of_a_geoparquet_that_is_none(tmp_path):
    meta = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    table = pyarrow.table({"geometry": [b"junk"], "filename": ["a.tif"], "label": ["x"]})
    table = table.replace_schema_metadata({"geo": json.dumps(meta)})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: its geometry cannot be read: "):
        read_table(tmp_path / "t.parquet")


def test_coordinates_of_geojson_are_numbers(tmp_path):
    for wrong in ([True, False], ["10", "50"], [None, None]):
        shape = {"type": "Point", "coordinates": wrong}
        feature = {"type": "Feature", "properties": {"filename": "a.tif", "label": "x"}, "geometry": shape}
        content = {"type": "FeatureCollection", "features": [feature]}
        (tmp_path / "t.geojson").write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"feature 1 is not readable \(its coordinates are no numbers"):
            read_table(tmp_path / "t.geojson")


def test_layers_of_a_geopackage(tmp_path, caplog):
    path = tmp_path / "t.gpkg"
    table = pd.DataFrame({"filename": ["c.tif", "d.tif"], "label": ["x", "y"]})
    pyogrio.write_dataframe(table, path, layer="layer_styles")
    assert read_table(path).filename.tolist() == ["c.tif", "d.tif"]  # the only table
    assert read_table(path).lonlat is None
    pyogrio.write_dataframe(table, path, layer="more")
    with pytest.raises(DataError, match=r"has several layers \(layer_styles, more\); keep one"):
        read_table(path)
    points_of(geopandas.points_from_xy(*LONLAT.T)).to_file(path, layer="points", engine="pyogrio")
    with caplog.at_level(logging.INFO):
        assert read_table(path).lonlat.tolist() == LONLAT.tolist()
    assert "layer points is read; without geometry: layer_styles, more" in caplog.text
    path.rename(tmp_path / "t.shp")  # its first bytes say what it is
    assert read_table(tmp_path / "t.shp").filename.tolist() == ["a.tif", "b.tif"]


@pytest.mark.parametrize("end", [".shx", ".dbf", ".shp"])
def test_a_shapefile_that_is_not_whole(tmp_path, end):
    points_of(geopandas.points_from_xy(*LONLAT.T)).to_file(tmp_path / "t.shp", engine="pyogrio")
    part = tmp_path / f"t{end}"
    whole = part.read_bytes()
    for content in (whole[:-30], b"", np.random.default_rng(0).bytes(300)):
        part.write_bytes(content)
        with pytest.raises(
            DataError, match=r"cut off or damaged|expected GeoJSON|shapes, and t.dbf beside it"
        ):
            read_table(tmp_path / "t.shp")
    part.write_bytes(whole)
    assert len(read_table(tmp_path / "t.shp").filename) == 2
    if end != ".shp":
        part.unlink()
        with pytest.raises(DataError, match=rf"t.shp: beside it t\{end} is missing"):
            read_table(tmp_path / "t.shp")


def test_files_of_two_shapefiles(tmp_path):
    points_of(geopandas.points_from_xy(*LONLAT.T)).to_file(tmp_path / "t.shp", engine="pyogrio")
    points_of(geopandas.points_from_xy(*LONLAT.T)).iloc[:1].to_file(tmp_path / "u.shp", engine="pyogrio")
    (tmp_path / "u.dbf").replace(tmp_path / "t.dbf")
    with pytest.raises(DataError, match=r"has 2 shapes, and t.dbf beside it 1 row; copy all"):
        read_table(tmp_path / "t.shp")


@pytest.mark.slow
def test_every_kind_is_the_same_data(tmp_path, capsys):
    write(tmp_path)
    table = pd.read_csv(tmp_path / "clean.csv")
    shapes = geopandas.points_from_xy(table["lon"], table["lat"], crs="EPSG:4326")
    frame = geopandas.GeoDataFrame(table.drop(columns=["lon", "lat"]), geometry=shapes)
    for name in ("c.gpkg", "c.shp", "c.geojson"):
        frame.to_file(tmp_path / name, engine="pyogrio")
    table.to_csv(tmp_path / "c.tsv", sep="\t", index=False)
    table.to_csv(tmp_path / "c.csv", sep=";", decimal=",", index=False)
    read = {}
    for name in ("clean.csv", "c.gpkg", "c.shp", "c.geojson", "c.tsv", "c.csv"):
        module = FolderDataModule(root=tmp_path, metadata=str(tmp_path / name))
        read[name] = [module.open(split) for split in ("train", "test")]
        argv = ["encode", tmp_path / name, "--encoder", "wrap", "--output", tmp_path / f"{name}.out.csv"]
        assert main(list(map(str, [*argv, "--quiet"]))) == 0
        made, own = (pd.read_csv(tmp_path / f"{one}.out.csv") for one in (name, "clean.csv"))
        np.testing.assert_allclose(made.filter(like="embedding_"), own.filter(like="embedding_"), atol=1e-6)
        for found, expected in zip(read[name], read["clean.csv"], strict=True):
            assert found.filenames.tolist() == expected.filenames.tolist()
            assert found.labels.tolist() == expected.labels.tolist()
            assert found.domains.tolist() == expected.domains.tolist()
            np.testing.assert_allclose(found.lonlat, expected.lonlat, atol=1e-9)
        assert name == "c.geojson" or found.data_hash == expected.data_hash  # GDAL rounds in GeoJSON
    argv = ["data", "check", "folder", "--data-root", tmp_path, "--metadata", tmp_path / "c.shp"]
    assert main(list(map(str, [*argv, "--images", "0", "--quiet"]))) == 0
    assert "sound" in capsys.readouterr().out


@pytest.mark.slow
def test_vector_files_that_are_no_table_are_refused(tmp_path):
    points = geopandas.points_from_xy(*LONLAT.T)
    frame = geopandas.GeoDataFrame({"filename": ["a", "b"], "label": ["x", "y"]}, geometry=points, crs=4326)
    for layer in ("one", "two"):
        frame.to_file(tmp_path / "t.gpkg", layer=layer, engine="pyogrio")
    with pytest.raises(DataError, match=r"has several layers \(one, two\); keep one"):
        read_table(tmp_path / "t.gpkg")
    frame.set_geometry(frame.buffer(1)).to_file(tmp_path / "t.geojson", engine="pyogrio")
    with pytest.raises(DataError, match="expected points; row 1 is a Polygon; save points"):
        read_table(tmp_path / "t.geojson")
    (tmp_path / "t.shp").write_text("<VRTDataset/>")
    with pytest.raises(DataError, match="read as a table of points: expected GeoJSON"):
        read_table(tmp_path / "t.shp")


@pytest.mark.parametrize(
    ("name", "sign", "said"),
    [("t.csv", ";", "separated by semicolons"), ("t.csv", "\t", "separated by tabs"), ("t.tsv", "\t", "")],
)
def test_other_separators_and_decimal_commas(tmp_path, name, sign, said, caplog):
    rows = [
        ("filename", "label", "lon", "lat"),
        ("a.tif", "1,5", "10,5", "-20,25"),
        ("b.tif", "y", "-170,125", "60"),
    ]
    path = tmp_path / name
    path.write_text("".join(sign.join(row) + "\n" for row in rows))
    with caplog.at_level(logging.INFO):
        found = read_table(path)
    assert found.lonlat.tolist() == LONLAT.tolist()
    assert found.label.tolist() == ["1,5", "y"]  # text stays text
    assert said in caplog.text
    assert "numbers of column lon have decimal commas" in caplog.text
    assert read_points(path).places.lonlat.tolist() == LONLAT.tolist()
    assert pd.read_csv(path, sep=sign, decimal=",")["lon"].tolist() == LONLAT[:, 0].tolist()


def test_a_comma_in_a_name_does_not_decide(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('filename;label;"a, b";c,d\na.tif;x;1,5;2\nb.tif;y;;\n')
    assert read_table(path).label.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "filename;label,a\na.tif;x,1\nb.tif;y,2\n",
            "its first line has commas and semicolons; sep",
        ),
        (
            "filename;label;lon;lat\na;x;1,5;2\nb;y;2.5;3\n",
            "column lon has numbers with decimal commas",
        ),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_one_comma_among_points_is_a_fault_of_its_row(tmp_path):
    rows = ["filename,label,lon,lat"] + [f"{k}.png,{'ab'[k % 2]},{k}.5,1.25" for k in range(30)]
    rows[3] = '2.png,a,"12,5",1.25'
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    table = read_table(path)
    ((row, _, reason),) = table.skipped
    assert (row, len(table.filename)) == (3, 29)
    assert reason.startswith("lon is not a number of degrees: 12,5")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", "filename,label\na.tif,x\nb.tif,y\n", "its first line has commas, and cells of a .tsv are"),
        (
            "t.tsv",
            "filename\tlabel\na\tx\nb\ty\n".encode("utf-16"),
            "is in UTF-16 or UTF-32; save it in UTF-8",
        ),
        ("t.tsv", b"filename\tlabel\na\tx\0\nb\ty\n", "has zero bytes in it"),
        ("t.tsv", "filename\tlabel\na\t\xe9\n".encode("latin-1"), r"line 2 is not in UTF-8 \(byte 0xe9\)"),
        (
            "t.csv",
            "filename;label\na;x\nb,y\n",
            "row 2 .*: its cells are separated by commas, those of the he",
        ),
        ("t.geojson", "{}", "is not GeoJSON with a list of features"),
        (
            "t.geojson",
            '{"type": "Feature", "geometry": null, "properties": {"filename": "a"}}',
            "is not GeoJSON with a list of features, but one Feature; save a FeatureCollection",
        ),
        ("t.geojson", '{"type": "FeatureCollection", "features": []}', "has no features; export it again"),
        ("t.geojson", '{"features": [7]}', "feature 1 is not readable"),
    ],
)
def test_text_that_is_not_what_it_says(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "\ufeffsep=;\n", "\ufeff"])
def test_what_excel_writes_above_a_table(tmp_path, first):
    path = tmp_path / "t.csv"
    path.write_text(first + "filename;label;lon;lat\na.tif;x;1,5;2\nb.tif;y;3;4\n", encoding="utf-8")
    assert read_table(path).lonlat.tolist() == [[1.5, 2], [3, 4]]
