"""Names and colours of rasters: read strictly, and written so that GDAL itself reads them back."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import rasterio

from geomoe.errors import InputError, OutputError
from geomoe.support.legends import (
    Entry,
    attribute_tables,
    qgis_style,
    read_colours,
    refuse_foreign_style,
    style_path,
    table_path,
)

NAMES = ["forest", "bare, dry"]
HOSTILE = ['</Category><x y="', "a & <b>", "new\nline", "nul\x00 esc\x1b \ud800 \ufffe", "$\\alpha$ \u202e"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"bare, dry": "#D95F02", "forest": "#1b9e77"}'),
        ("a.csv", 'name,color\nforest,#1b9e77\n\n"bare, dry",#D95F02\n'),
        ("a.CSV", 'color , name\n #1b9e77,forest\n#d95f02,"bare, dry"\n'),
        ("a.csv", '\ufeffname,color\r\nforest,#1b9e77\r\n"bare, dry",#d95f02\r\n'),
    ],
)
def test_colours_come_in_the_order_of_the_names(name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_colours(tmp_path / name, NAMES) == ["#1b9e77", "#d95f02"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"forest": "#1b9e77"}', "no colour for 'bare, dry'"),
        ("a.json", '{"forest": "#1b9e77", "bare, dry": "#000000", "x": "#000000"}', "unknown name 'x'"),
        ("a.json", '{"forest": "#1b9e77", "forest": "#000000"}', "'forest' occurs more than once"),
        ("a.json", '{"forest": "green", "bare, dry": "#000000"}', "'forest': expected a colour such as"),
        ("a.json", '{"forest": "#1b9e777", "bare, dry": "#000000"}', "got '#1b9e777'"),
        ("a.json", '{"forest": [1, 2], "bare, dry": "#000000"}', "expected a colour"),
        ("a.json", '[["forest", "#1b9e77"], ["bare, dry", "#000000"]]', "expected one object"),
        ("a.json", '"text"', "expected one object"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.csv", "", "expected a first line name,color; got nothing"),
        ("a.csv", "forest,#1b9e77\n", "expected a first line name,color; got forest,#1b9e77"),
        ("a.csv", "name,color\nforest\n", "expected a name and a colour in each line; got 'forest'"),
        ("a.csv", 'name,color\n"forest,#1b9e77\n', "is not a table of colours"),
    ],
)
def test_other_files_of_colours_are_refused(name, text, said, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_colours(tmp_path / name, NAMES)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert said in str(refused.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"name,color\nf\xf6rest,#1b9e77\n")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_colours(tmp_path / "latin.csv", NAMES)
    with pytest.raises(InputError, match="No such file"):
        read_colours(tmp_path / "gone.csv", NAMES)


def clean(name):
    return "".join("\ufffd" if c in "\x00\x1b\ud800\ufffe" else c for c in name)


def test_hostile_names_stay_text():
    entries = [Entry(number, name, "#1b9e77") for number, name in enumerate(HOSTILE)]
    table = ET.fromstring(attribute_tables({2: entries}))
    assert [band.get("band") for band in table] == ["2"]
    assert [one.text for one in table.iter("Category")] == [clean(name) for name in HOSTILE]
    rows = [[cell.text for cell in row] for row in table.iter("Row")]
    assert rows == [[str(k), clean(n), "27", "158", "119", "255"] for k, n in enumerate(HOSTILE)]
    text = qgis_style(3, entries)
    style = ET.fromstring(text)
    assert text.encode("utf-8").startswith(b"<!DOCTYPE qgis")
    renderer = style.find("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "3")
    assert [one.get("label") for one in style.iter("paletteEntry")] == [clean(name) for name in HOSTILE]
    assert {one.get("color") for one in style.iter("paletteEntry")} == {"#1b9e77"}


def test_the_files_stand_where_programs_look(tmp_path):
    assert table_path(tmp_path / "a.b.tif").name == "a.b.tif.aux.xml"
    assert style_path(tmp_path / "a.b.tif").name == "a.b.qml"


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="needs GDAL's gdalinfo")
def test_gdal_reads_the_attribute_table(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=2, height=1, count=2, dtype="uint8") as file:
        file.write(np.array([[[0, 1]], [[1, 0]]], dtype=np.uint8))
    names = ["a & <b>", 'wörter "x"']
    entries = [Entry(k, name, ("#1b9e77", "#d95f02")[k]) for k, name in enumerate(names)]
    table_path(path).write_text(attribute_tables({2: entries}), encoding="utf-8")
    text = subprocess.run(
        ["gdalinfo", str(path)], capture_output=True, check=True, timeout=60
    ).stdout.decode()
    second = text.partition("Band 2")[2]
    assert all(f"{k}: {name}" in second for k, name in enumerate(names))
    tree = ET.fromstring(second[second.index("<GDALRasterAttributeTable") :])
    assert tree.get("tableType") == "thematic"
    usage = [(one.find("Name").text, one.find("Usage").text) for one in tree.iter("FieldDefn")]
    assert usage[:2] == [("Value", "5"), ("Class", "2")]
    assert [row[1].text for row in tree.iter("Row")] == names
    assert [[cell.text for cell in row[2:5]] for row in tree.iter("Row")][1] == ["217", "95", "2"]


def test_a_style_that_somebody_else_made_is_not_replaced(tmp_path):
    raster, style = tmp_path / "x.tif", tmp_path / "x.qml"
    refuse_foreign_style(raster)
    style.write_text(qgis_style(1, [Entry(0, "field", "#112233")]), encoding="utf-8")
    refuse_foreign_style(raster)
    style.write_text("<qgis>mine</qgis>", encoding="utf-8")
    with pytest.raises(OutputError, match=r"x\.qml: geomoe did not write this style; move it"):
        refuse_foreign_style(raster)
