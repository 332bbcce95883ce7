"""Saved reports: what was written is read, and a report with anything wrong in it is refused in one line."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest

from geomoe.cli import main
from geomoe.datasets.base import Grouping
from geomoe.errors import DataError
from geomoe.evaluation import Report
from geomoe.evaluation.reports.score_map import score_layers
from geomoe.evaluation.reports.values import Official, OfficialRow
from geomoe.evaluation.scores import score
from geomoe.support.plain import from_plain

REGIONS = ["Asia", "Europe", "Africa"]
WRONG = ("x", -7, 0.5, None, [], {"a": 1}, 10**400)
#: Keys that reports of earlier versions lack.
LATER = {
    "options", "protocol", "encoder", "backbone", "uncounted", "domain_unit", "notes", "beside", "official",
    "places", "experts_report", "groups", "confusion", "held_out_confusion", "spare",
}  # fmt: skip
#: Objects whose keys are names of things.
FREE = {"options", "beside", "regions", "parts", "load_by_region"}


@pytest.fixture
def report(make_report, predictions):
    """A report with everything that one can have."""
    for one in predictions.values():
        one.lonlat[30:] = one.lonlat[np.arange(30, 300) % 30]  # few places
    groups = {"year": Grouping(("2016", "2017"), np.arange(300) % 2)}
    scores = {
        name: score(predictions[name], REGIONS, "Asia", bootstrap=20, groupings=groups)
        for name in ("all", "shared")
    }
    official = Official("wilds", (OfficialRow("all", "acc_avg", 0.5, 0.5, True),), None)
    return make_report(predictions, held_out="Asia", scores=scores, official=official, uncounted=("Africa",))


def places_in(value, path=()):
    """Every key of every object, and the first place of every list and of every object keyed by names."""
    items = []
    if isinstance(value, list):
        items = list(enumerate(value))[:1]
    elif isinstance(value, dict):
        items = list(value.items())[: 1 if path and path[-1] in FREE else None]
    for key, item in items:
        yield (*path, key)
        yield from places_in(item, (*path, key))


def with_change(data, path, change):
    """A copy of plain data changed at a path; what is not on the path is shared."""
    if len(path) == 1:
        holder = copy.copy(data)
        change(holder, path[0])
        return holder
    holder = copy.copy(data)
    holder[path[0]] = with_change(data[path[0]], path[1:], change)
    return holder


def test_there_and_back(report, make_report, predictions, tmp_path):
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert from_plain(Report, json.loads(text)) == report
    assert report.as_dict()["format"] == 1
    for one in (report, make_report(predictions, algorithm="erm"), make_report(predictions, places=None)):
        (tmp_path / "report.json").write_text(json.dumps(one.as_dict()))
        assert Report.load(tmp_path) == one


@pytest.mark.slow
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.long)])
def test_every_key_that_is_missing_or_holds_something_else(every, report, tmp_path):
    """A refusal in one line that names the file; never another exception, now or when it is printed."""
    data, file = report.as_dict(), tmp_path / "report.json"
    refused = accepted = 0
    for place, path in enumerate(places_in(data)):
        changes = [lambda holder, key: holder.pop(key)]
        changes += [lambda holder, key, wrong=wrong: holder.__setitem__(key, wrong) for wrong in WRONG]
        for number, change in enumerate(changes):
            if number and (place + number) % every:
                continue  # every key is missing once, and holds some of what is wrong
            file.write_text(json.dumps(with_change(data, path, change)))
            try:
                found = Report.load(file)
            except DataError as error:
                line = str(error)
                assert str(file) in line
                assert "\n" not in line
                assert len(line) < 600
                refused += 1
                continue
            accepted += 1
            found.table()
            score_layers(found)
            dropped = number == 0 and isinstance(path[-1], str)
            assert not dropped or path[-1] in LATER or path[-2] in FREE, f"may be missing: {path}"
    assert refused > 2 * accepted > 0


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("scores", "all", "overall", "accuracy"), "x", "expected a number; got 'x'"),
        (("scores", "all", "overall", "accuracy"), 1.5, "expected a share from 0 to 1; got 1.5"),
        (("experts_report", "routing", 0, "spare"), [1, 3], "expected slots 0 to 2; got a list of 2"),
        (
            ("scores", "all", "worst"),
            "Atlantis",
            "expected null, or one of Asia, Europe, Africa; got 'Atlantis'",
        ),
        (("scores", "shared", "regions"), {}, "expected exactly Asia, Europe, Africa; got an object"),
        (("places", "lon"), [1.0], "values; got a list of 1"),
        (("places", "domain", 0), 3, "expected -1 to 2; got 3"),
        (("experts_report", "forced", 0, "counts"), [1], "expected 3 values; got a list of 1"),
        (("experts",), 7, "expected the choice that experts names"),
    ],
)
def test_the_line_says_where_and_what(report, tmp_path, capsys, path, value, message):
    file = tmp_path / "report.json"
    changed = with_change(report.as_dict(), path, lambda holder, key: holder.__setitem__(key, value))
    file.write_text(json.dumps(changed))
    assert main(["summarize", str(file), "--quiet"]) == 2
    out, line = capsys.readouterr()
    where = ".".join(map(str, path)) if path != ("experts",) else "scores"
    assert (out, line.count("\n")) == ("", 1)
    assert line.startswith(f"geomoe: error: {file}: not a report of geomoe: {where}: ")
    assert message in line


@pytest.mark.slow
def test_deep_and_huge_files(tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text('{"a":' * 100_000)
    with pytest.raises(DataError, match="is nested more than 100 deep"):
        Report.load(tmp_path)
    with (tmp_path / "report.json").open("wb") as file:
        file.truncate(300_000_000)
    with pytest.raises(DataError, match="has more than 256,000,000 bytes"):
        Report.load(tmp_path)


def test_a_folder_instead_of_the_file(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(DataError, match="cannot read a report"):
        Report.load(tmp_path)
    shutil.rmtree(tmp_path / "report.json")
