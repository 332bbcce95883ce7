"""The report of a map comes back from its file, and a file with anything wrong in it is refused."""

from __future__ import annotations

import json

import pytest

from geomoe.errors import DataError
from geomoe.mapping import MapReport
from geomoe.mapping.draw import report_map


@pytest.fixture
def report(table, summaries, synthetic):
    return report_map(table, summaries, synthetic.some_points())


def test_there_and_back(report, table, summaries, tmp_path):
    for one in (report, report_map(table, summaries)):
        (tmp_path / "experts.json").write_text(one.as_json(), encoding="utf-8")
        assert MapReport.load(tmp_path) == one
    assert report.points["train"].count + report.points["test"].count == 300
    assert report.blocks[0].share_of_land == tuple(summaries[0].report.share.round(6).tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": [{}]}, "not the report of a map: blocks.0.name: is missing"),
        ({"points": {"train": 3}}, "points.train: expected an object; got 3"),
        ({"title": None}, "title: expected a string; got null"),
        (None, "cannot be read as JSON"),
    ],
)
def test_refusals(report, tmp_path, change, message):
    file = tmp_path / "experts.json"
    file.write_text("{" if change is None else json.dumps({**report.as_dict(), **change}))
    with pytest.raises(DataError, match=message) as caught:
        MapReport.load(file)
    assert str(file) in str(caught.value)
