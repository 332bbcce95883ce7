"""Columns of other names: mapped when asked, proposed otherwise, never taken in silence."""

from __future__ import annotations

import logging

import geopandas
import numpy as np
import pandas as pd
import pytest

from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.errors import ConfigError, DataError
from geomoe.inference.inputs import collect
from geomoe.inference.points import read_points
from geomoe.reading.image_table import read_table
from geomoe.support.columns import PARTS, read_columns

ROWS = "image,class,x,y,filename,longitude\na.tif,one,7,8,old,1\nb.tif,two,9,10,old,2\n"
ASKED = {"filename": "image", "label": "class", "lon": "x", "lat": "y"}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(ROWS)
    return path


def test_columns_are_taken_by_the_names_that_are_given(table):
    found = read_table(table, columns=ASKED)
    assert found.filename.tolist() == ["a.tif", "b.tif"]  # the column filename gives way
    assert found.label.tolist() == ["one", "two"]
    assert found.lonlat.tolist() == [[7, 8], [9, 10]]  # and so does longitude
    both = read_table(table, columns={**ASKED, "domain": "class", "country_code": "class"})
    assert both.domain.tolist() == both.country.tolist() == ["one", "two"]
    by = read_table(table, columns=ASKED, domain_by="x")
    assert by.domain.tolist() == ["7", "9"]


def test_text_stays_text(table):
    table.write_text("null,a=b\na.tif,007\nb.tif,1e3\n")
    setting = Setting("data.columns", "filename=null,label=a=b", "--columns")
    given = load("folder", flags=[setting], environment={}).data.columns
    assert read_columns(given) == {"filename": "null", "label": "a=b"}
    assert read_table(table, columns=read_columns(given)).label.tolist() == ["007", "1e3"]


def test_points_of_a_geoparquet_keep_their_places(tmp_path):
    frame = geopandas.GeoDataFrame(
        {"image": ["a.tif", "b.tif"], "class": ["one", "two"]},
        geometry=geopandas.points_from_xy([1, 2], [3, 4]), crs="EPSG:4326",
    )  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet", columns={"filename": "image", "label": "class"})
    assert found.lonlat.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(DataError, match="column geometry is geometry and cannot be label"):
        read_table(tmp_path / "t.parquet", columns={"filename": "image", "label": "geometry"})


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        ("image,class", "no column filename .*; perhaps --columns filename=image,label=class$"),
        ("Path,CATEGORY", "; perhaps --columns filename=Path,label=CATEGORY$"),
        ("file,label", "; perhaps --columns filename=file$"),
        ("filename,Label", "no column label .*; perhaps --columns label=Label$"),
        ("filename,target", "; perhaps --columns label=target$"),
        ("q,z", r"no column filename \(columns: q, z\)$"),
    ],
)
def test_common_names_are_proposed_and_not_taken(table, header, advice):
    table.write_text(f"{header}\na.tif,one\nb.tif,two\n")
    with pytest.raises(DataError, match=advice):
        read_table(table)


def test_x_and_y_are_no_degrees_until_somebody_says_so(table, caplog):
    table.write_text("filename,label,X,y\na.tif,one,7,8\nb.tif,two,9,10\n")
    with caplog.at_level(logging.INFO):
        assert read_table(table).lonlat is None
    assert "no columns lon and lat; if X and y are degrees, give --columns lon=X,lat=y" in caplog.text
    with pytest.raises(DataError, match=r"no column lon or lat .*; perhaps --lon X --lat y$"):
        read_points(table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "clas"}, "no column clas, which is to be label .*; did you mean class"),
        ({"label": "note"}, "has several columns note; keep one"),
    ],
)
def test_columns_that_are_not_there_once_are_refused(table, columns, message):
    table.write_text("filename,class,note,note\na.tif,one,,\nb.tif,two,,\n")
    with pytest.raises(DataError, match=message):
        read_table(table, columns=columns)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("image", "data.columns: expected PART=COLUMN, such as filename=image; got 'image'"),
        ("filename=", "data.columns: expected PART=COLUMN"),
        ("file=image", "data.columns: expected one of filename, label, lon, .* before the =; got 'file'"),
        ("lon=x,lat=x", "data.columns: lon and lat cannot both be x"),
        ("label=a,label=b", "data.columns: label is given twice: a and b"),
    ],
)
def test_what_is_no_mapping_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        load("folder", flags=[Setting("data.columns", given, "--columns")], environment={})


def test_a_domain_is_named_once():
    flags = [Setting("data.columns", "domain=a", "-"), Setting("data.domain_by", "b", "-")]
    with pytest.raises(ConfigError, match=r"both name the domain \(a, b\)"):
        load("folder", flags=flags, environment={})


def test_only_a_folder_has_columns():
    with pytest.raises(ConfigError, match=r"data.columns: bluemarble has no such key \(known to: folder\)"):
        load("bluemarble", flags=[Setting("data.columns", "label=a", "-")], environment={})


def test_prediction_maps_columns_too(table):
    items, skipped = collect([table], columns={"filename": "image", "lon": "x", "lat": "y"})
    assert [(item.name, item.lonlat) for item in items] == [("a.tif", (7, 8)), ("b.tif", (9, 10))]
    assert not skipped


def test_no_synonym_is_proposed_for_two_parts():
    names = [name for synonyms in PARTS.values() for name in synonyms]
    assert len(set(names)) == len(names)
    assert not set(names) & set(PARTS)


def test_tables_of_other_names_are_what_pandas_renames(table):
    known = pd.read_csv(table)
    found = read_table(table, columns=ASKED)
    np.testing.assert_array_equal(found.lonlat, known[["x", "y"]])
