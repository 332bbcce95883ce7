"""Reports whose regions, classes and groups have hostile names."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from geomoe.evaluation import Report, summarize

NAMES = ["a/../../x", "$\\frac$ [red]\x1b[2J", "b\nc\u202e<script>"]


@pytest.fixture
def hostile(make_report, predictions):
    """A report with such names everywhere."""
    report = make_report(predictions, classes=(*NAMES, "d"), regions=tuple(NAMES))
    text = json.dumps(report.as_dict())
    for old, new in zip(("Asia", "Europe", "Africa"), NAMES, strict=True):
        text = text.replace(json.dumps(old), json.dumps(new))
    return text


@pytest.mark.slow
def test_hostile_names_are_shown_and_drawn(hostile, tmp_path):
    file = tmp_path / "report.json"
    file.write_text(hostile)
    report = Report.load(file)
    table = report.table(120)
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert "b\\nc\\u202e<script>" in table
    assert "[red]" in table
    report.save(tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "report.json"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_summary_of_them_stays_in_its_folder(hostile, tmp_path):
    file = tmp_path / "report.json"
    file.write_text(hostile)
    report = replace(Report.load(file), data="../../x", split="a/b")
    (tmp_path / "in").mkdir()
    report_file = tmp_path / "in" / "report.json"
    report_file.write_text(json.dumps(report.as_dict()))
    summary = summarize([report_file])
    assert "\x1b" not in summary.table(100)
    written = summary.save(tmp_path / "deep" / "er" / "out")
    assert len(written) == 2
    assert {path.parent for path in written} == {tmp_path / "deep" / "er" / "out"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "in", "report.json"]
