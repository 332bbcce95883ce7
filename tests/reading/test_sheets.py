"""Tables as people write them: what pandas reads is read alike, and what it loses in silence is not lost."""

from __future__ import annotations

import io

import geopandas
import numpy as np
import pandas as pd
import pytest

from geomoe.errors import DataError
from geomoe.reading.image_table import read_table
from geomoe.reading.sheets import read_frame, read_sheet

ROWS = 'filename,label,note\r\na.tif,Zürich,x\r\nb.tif,"Genf, Stadt",\r\n'


@pytest.fixture
def table(tmp_path):
    """Write a CSV of these bytes."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LEGAL = {
    "CRLF": ROWS,
    "LF": ROWS.replace("\r\n", "\n"),
    "CR": ROWS.replace("\r\n", "\r"),
    "byte-order mark": "\ufeff" + ROWS,
    "empty lines": ROWS.replace("\r\n", "\r\n\r\n"),
    "empty first line": "\n" + ROWS,
    "short line": ROWS.replace(",x\r\n", "\r\n"),  # a spreadsheet leaves out what is empty at the end
    "lines in a cell": ROWS.replace("x", '"two\nlines and a ""word"""'),
    "quote in a cell": ROWS.replace("x", 'a 5" ruler'),
    "column without name": ROWS.replace("label", ""),
    "NA and zeros": ROWS.replace("x", "007").replace("Zürich", "NA"),
    "long cell": ROWS.replace("x", "y" * 200_000),
    "no rows": "filename,label,note\n",
}


@pytest.mark.parametrize("content", LEGAL.values(), ids=LEGAL)
def test_a_csv_is_what_pandas_reads(table, content):
    expected = pd.read_csv(io.StringIO(content.removeprefix("\ufeff")), dtype=str, keep_default_na=False)
    found = read_frame(table(content))
    assert list(found.columns) == list(expected.columns)
    assert found.to_numpy().tolist() == expected.fillna("").to_numpy().tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a csv file with columns: it is empty"),
        (b"\n\n", "not a csv file with columns: it is empty"),
        (b"a,b\n1,2\n" + bytes(400), "has zero bytes in it: a copy that stopped"),
        ("a,b\n1,2\n".encode("utf-16"), "is in UTF-16 or UTF-32; save it in UTF-8"),
        (
            "a,b\n1,2\n3,Zürich\n".encode("latin-1"),
            r"line 3 is not in UTF-8 \(byte 0xfc\); save it in UTF-8",
        ),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 3: a quote is not where it should be"),
        (b'a,b\n1,2\n"3,4\n5,"x, y"\n7,8\n', "line 3: a quote is not where it should be"),
        (b'a,b\n1,2\n"3"x,4\n', "line 3: a quote is not where it should be"),
        (b'a,b\n"two\nlines",2\n"3,4\n', "line 4: a quote is not where it should be"),
        (b"a,b\n1,2\n3,4,5\n", "row 2: a line has too many cells: 3,4,5"),
        (b"a,b\n1,2\n3", "row 2: the last line is cut off: it has 1 of 2 cells"),
    ],
)
def test_a_csv_that_is_not_whole_is_refused_with_its_line(table, content, message):
    path = table(content)
    with pytest.raises(DataError, match=message) as caught:
        read_frame(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_rows_keep_their_numbers_when_others_are_left_out(table):
    sheet = read_sheet(table("a,b\n\n1,2\n3,4,5\n\n6,7\n8,9,10,11\n12,13\n14"))
    assert sheet.row.tolist() == [1, 3, 5]
    assert sheet.frame["a"].tolist() == ["1", "6", "12"]
    assert [row for row, _ in sheet.broken] == [2, 4, 6]
    assert "3,4,5" in sheet.broken[0][1]
    assert "cut off" in sheet.broken[2][1]


def test_a_last_line_without_end_is_doubted(table, caplog):
    assert read_frame(table("a,b\n1,2\n3,4"))["b"].tolist() == ["2", "4"]
    assert "t.csv: its last line has no end; if it was copied, see that it is whole" in caplog.text
    caplog.clear()
    read_frame(table("a,b\n1,2\n3,4\n"))
    assert not caplog.text


def test_columns_that_are_not_wanted_are_named_and_not_kept(table):
    sheet = read_sheet(table("a,b,c,b\n1,2,3,4\n"), lambda name: name in "ac")
    assert sheet.names == ("a", "b", "c", "b.1")
    assert sheet.frame.to_dict("list") == {"a": ["1"], "c": ["3"]}


def test_one_cell_of_any_length_makes_no_other_wider(table):
    """Numpy's text of a fixed width would need 4 GB here."""
    rows = "".join(f"{number}.tif,{'ab'[number % 2]}\n" for number in range(10_000))
    found = read_table(table(f"filename,label\n{rows}{'x' * 100_000}.tif,a\n"))
    assert len(found.filename) == 10_001


# --- what a table of images makes of it -----------------------------------------------------------


def test_names_from_windows_and_names_by_detours(table):
    content = "filename,label\na\\b 1.tif,x\n./c.tif,y\nd/../e.tif,x\n/abs/f.tif,y\n"
    assert read_table(table(content)).filename.tolist() == [
        "a/b 1.tif", "./c.tif", "d/../e.tif", "/abs/f.tif",
    ]  # fmt: skip


@pytest.mark.parametrize("other", ["./a/b.tif", "a/./b.tif", "a/c/../b.tif", "a//b.tif", "a\\b.tif"])
def test_one_image_under_two_names_is_one_image(table, other):
    rows = "".join(f"{number}.tif,y\n" for number in range(40))
    found = read_table(table(f"filename,label\na/b.tif,x\n{rows}{other},x\n"))
    assert [(skip.row, skip.reason) for skip in found.skipped] == [(42, "the image is listed twice")]
    with pytest.raises(DataError, match="several times, with the labels x, z"):
        read_table(table(f"filename,label\na/b.tif,x\n{rows}{other},z\n"))


@pytest.mark.parametrize(("sign", "word"), [("|", "bars")])
def test_other_separators_are_named(table, sign, word):
    with pytest.raises(DataError, match=f"no column filename .*separated by {word}: save the table with com"):
        read_table(table(ROWS.replace(",", sign)))


def test_a_suffix_in_capitals_is_the_same(table):
    assert read_table(table(ROWS, "T.CSV")).filename.tolist() == ["a.tif", "b.tif"]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2021-05-31T10:15:00Z", 1622456100.0),
        ("2021-05-31T10:15:00+02:00", 1622456100.0 - 7200),
        ("2021-05-31 10:15", 1622456100.0),  # without a zone: UTC
        ("2021-05-31T10:15:00.250Z", 1622456100.25),
        ("1969-12-31T23:59:59Z", -1.0),
        ("2500-01-01", 16725225600.0),  # beyond what nanoseconds reach
    ],
)
def test_times(table, stamp, seconds):
    found = read_table(table(f"filename,label,timestamp\na,x,{stamp}\nb,y,\n"))
    assert found.timestamp[0] == seconds
    assert np.isnan(found.timestamp[1])


@pytest.mark.parametrize("stamp", ["31.05.2021", "1622456100", "2021-13-01", "yesterday"])
def test_times_of_another_form_are_no_times(table, stamp):
    rows = "".join(f"{number},x,\n" for number in range(40))
    found = read_table(table(f"filename,label,timestamp\na,y,\n{rows}c,y,{stamp}\n"))
    assert [(skip.row, skip.filename) for skip in found.skipped] == [(42, "c")]
    assert found.skipped[0].reason.endswith(f": {stamp}")


def test_every_fault_has_the_number_of_its_row(table):
    """Also behind a row that was left out before anything was looked at."""
    good = "".join(f"{number}.tif,{'xy'[number % 2]},10,50\n" for number in range(500))
    bad = "a.tif,x,10,50,9\n\nb.tif,x,ten,50\n,x,1,1\nc.tif,,1,1\nd.tif,x,1,\n"
    found = read_table(table(f"filename,label,lon,lat\n{bad}{good}"))
    assert {skip.row: skip.reason.partition(":")[0] for skip in found.skipped} == {
        1: "a line has too many cells",
        2: "lon is not a number of degrees",
        3: "the cell filename is empty",
        4: "the cell label is empty, nan or None",
        5: "exactly one of lon, lat is there; give both or neither",
    }
    assert (found.total, found.row[0], found.row[-1]) == (505, 6, 505)


def test_a_geoparquet_whose_crs_is_damaged(tmp_path):
    import pyarrow.parquet

    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=geopandas.points_from_xy([1], [2]), crs="EPSG:4326")
    frame.to_parquet(tmp_path / "t.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    meta = {b"geo": table.schema.metadata[b"geo"].replace(b'"axis"', b'"axk#"')}
    pyarrow.parquet.write_table(table.replace_schema_metadata(meta), tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"t\.parquet: the CRS of its points cannot be understood: Invalid projection"
    ) as told:
        read_sheet(tmp_path / "t.parquet")
    assert len(str(told.value)) < 600
