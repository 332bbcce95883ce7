"""Tables of other kinds: the same rows and places from each of them; what is ambiguous is refused."""

from __future__ import annotations

import logging

import geopandas
import numpy as np
import pandas as pd
import pytest

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


def test_vector_files_that_are_no_table_are_refused(tmp_path):
    points = geopandas.points_from_xy(*LONLAT.T)
    frame = geopandas.GeoDataFrame({"filename": ["a", "b"], "label": ["x", "y"]}, geometry=points, crs=4326)
    for layer in ("one", "two"):
        frame.to_file(tmp_path / "t.gpkg", layer=layer, engine="pyogrio")
    with pytest.raises(DataError, match=r"has several layers \(one, two\); keep one"):
        read_table(tmp_path / "t.gpkg")
    frame.set_geometry(frame.buffer(1)).to_file(tmp_path / "t.geojson", engine="pyogrio")
    with pytest.raises(DataError, match="expected points; row 0 is a Polygon"):
        read_table(tmp_path / "t.geojson")
    (tmp_path / "t.shp").write_text("<VRTDataset/>")
    with pytest.raises(DataError, match="cannot be read as a table of points: expected GeoJSON, a shapefile"):
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
