"""A report survives the disk, prints its own numbers, and is compared with its like only."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from geomoe.datasets.base import Grouping
from geomoe.errors import DataError, OutputError
from geomoe.evaluation import Report, compare
from geomoe.evaluation.reports.figures import regions
from geomoe.evaluation.scores import score
from tests.pictures import number_of_colours

REGIONS = ["Asia", "Europe", "Africa"]


@pytest.mark.slow
def test_saved_report_is_the_report(make_report, predictions, tmp_path):
    report = make_report(predictions)
    folder = report.save(tmp_path / "new" / "report")
    assert Report.load(folder) == Report.load(folder / "report.json") == report
    assert report.as_dict() == json.loads((folder / "report.json").read_text())
    figures = {f"{name}.png" for name in ("regions", "reliability", "confusion", "map")}
    figures |= {"forced_experts.png", "expert_cka.png"}
    assert {file.name for file in folder.iterdir()} == {"report.json", "map.html", *figures}
    for name in figures:
        picture = imread(folder / name)
        assert picture.shape[0] > 200
        assert number_of_colours(folder / name) > 10


@pytest.mark.slow
def test_a_report_without_experts_and_places_has_three_figures(make_report, predictions, tmp_path):
    report = make_report(predictions, algorithm="erm", places=None)
    figures = {f"{name}.png" for name in ("regions", "reliability", "confusion")}
    for _ in range(2):  # the second time over itself
        folder = report.save(tmp_path)
        assert {file.name for file in folder.iterdir()} == {"report.json", *figures}
        assert Report.load(folder) == report


@pytest.mark.slow
def test_further_groupings_are_printed_and_drawn(make_report, predictions, tmp_path):
    groups = {"year": Grouping(("2016", "2017"), np.arange(300) % 2)}
    scores = score(predictions["all"], REGIONS, bootstrap=20, groupings=groups, uncounted=["Africa"])
    report = make_report(predictions, algorithm="erm", scores={"all": scores}, uncounted=("Africa",))
    worst, parts = scores.groups["year"].worst, scores.groups["year"].parts
    lines = [" ".join(line.split()) for line in report.table().splitlines()]
    told = f"worst year ({worst}) {100 * parts[worst].accuracy:.1f}"
    assert any(line.startswith(told) for line in lines)
    assert any(line.startswith("Africa (never worst)") for line in lines)
    folder = report.save(tmp_path)
    figures = {f"{name}.png" for name in ("regions", "reliability", "confusion", "by_year", "map")}
    assert {path.name for path in folder.glob("*.png")} == figures
    assert number_of_colours(folder / "by_year.png") > 10
    assert Report.load(folder) == report


def test_as_dict_is_a_copy_of_plain_values(make_report, predictions):
    report = make_report(predictions)
    copy = report.as_dict()
    copy["scores"]["all"]["overall"]["accuracy"] = -1
    assert report.scores_of().overall.accuracy >= 0
    assert "NaN" not in json.dumps(report.as_dict())


def test_table_has_the_numbers(make_report, predictions):
    report = make_report(predictions)
    text = report.table()
    assert all(len(line) <= 100 for line in text.splitlines())
    for choice in ("all", "shared"):
        for row in [report.scores_of(choice).overall, *report.scores_of(choice).regions.values()]:
            low, high = row.accuracy_interval
            assert f"{100 * row.accuracy:.1f}   {100 * low:.1f} to {100 * high:.1f}" in text
    forced = report.experts_report.forced[1].accuracy[2]
    assert "   ".join(f"{100 * value:.1f}" for value in forced) in text
    assert "spatial blocks" in text
    assert "worst region" in text
    assert "beside it: split pooled" in text
    assert "moge (encoder sh) on bluemarble, split test, nothing held out, protocol v1, seed 0" in text
    assert "Attention." in text


def test_domains_are_called_what_they_are(make_report, predictions):
    text = make_report(predictions, domain_unit="camera").table()
    assert "worst camera" in text
    assert "region" not in text.partition("forced")[0]
    held_out = make_report(predictions, held_out="Asia", domain_unit="environment").table()
    assert "source environments" in held_out
    assert "held-out environment (Asia)" in held_out


def test_many_domains_make_a_figure_that_can_be_seen(make_report, predictions):
    """A bar for each of 243 cameras, 1.2 inches apart, would be 35,000 pixels wide."""
    some = make_report(predictions, algorithm="erm").scores_of().regions["Asia"]
    text = make_report(predictions, algorithm="erm").table()
    assert "report.json has all" not in text
    for count, named in ((40, 40), (243, 0)):
        parts = {f"camera {k}": replace(some, accuracy=k / count) for k in range(count)}
        plain = make_report(predictions, algorithm="erm").scores_of()
        scores = replace(plain, regions=parts, worst="camera 0")
        report = make_report(predictions, algorithm="erm", scores={"all": scores}, domain_unit="camera")
        text = report.table()
        assert f"the 10 lowest of {count} cameras, report.json has all" in text
        assert [line.split()[1] for line in text.splitlines() if line.startswith("  camera")] == [
            str(k) for k in range(10)
        ]
        figure = regions(report)
        assert figure.get_size_inches()[0] <= 26
        (axes,) = figure.axes
        assert len(axes.get_xticklabels()) == named
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(
            [100 * k / count for k in range(count)]
        )


def test_held_out_table_keeps_source_and_held_out_apart(make_report, predictions):
    text = make_report(predictions, held_out="Asia").table()
    assert "source regions" in text
    assert "held-out region (Asia)" in text
    assert "overall" not in text


def test_a_spare_slot_is_in_no_table(make_report, predictions):
    report = make_report(predictions)
    own = report.experts_report
    routing = tuple(replace(one, spare=(1,) if number == 0 else ()) for number, one in enumerate(own.routing))
    text = replace(report, experts_report=replace(own, routing=routing)).table()
    heads = [
        line.split()
        for line in text.splitlines()
        if line.split()[:2] in (["top-1", "samples"], ["expert", "0"])
    ]
    shown = [[word for word in line if word.isdecimal()] for line in heads]
    assert shown == [["0", "2"], ["0", "1", "2"]] * 2


def test_a_dead_expert_is_named(make_report, predictions):
    predictions["all"].weights[0] = [0, 0.5, 0.5]
    text = make_report(predictions).table()
    assert "block 2: expert 0 is dead" in text
    assert "block 3: expert" not in text


def test_a_folder_that_cannot_be_written(make_report, predictions, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the report"):
        make_report(predictions).save(tmp_path / "file" / "report")


def test_a_failed_save_leaves_nothing(make_report, predictions, tmp_path):
    report = make_report(predictions, seed=math.nan)  # not JSON
    with pytest.raises(ValueError, match="JSON"):
        report.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"format": 2, "scores": {}}'])
def test_load_refuses_what_is_no_report(tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(DataError, match=r"report\.json"):
        Report.load(tmp_path)


def test_compare_puts_methods_and_the_shared_expert_side_by_side(make_report, predictions):
    moge = make_report(predictions)
    erm = make_report({"all": predictions[0, "all"]}, algorithm="erm")
    found = compare({"ERM": erm, "MoGE": moge})
    rows = found.as_dict()["rows"]
    assert [row["method"] for row in rows] == ["ERM", "MoGE", "MoGE-SE"]
    for row, scores in zip(rows, [erm.scores_of(), moge.scores_of(), moge.scores_of("shared")], strict=True):
        assert row["accuracy"] == scores.overall.accuracy
        assert row["macro_f1"] == scores.overall.macro_f1
        assert row["calibration_error"] == scores.overall.calibration_error
        assert row["worst_accuracy"] == min(part.accuracy for part in scores.regions.values())
        assert row["held_out_accuracy"] is None
        assert row["regions"] == {name: part.accuracy for name, part in scores.regions.items()}
        assert f"{row['method']}  " in str(found)
        assert f"{100 * row['accuracy']:.1f}" in str(found)


def test_compare_under_a_held_out_protocol(make_report, predictions):
    report = make_report(predictions, held_out="Africa")
    found = compare({"MoGE": report})
    row = found.as_dict()["rows"][0]
    assert row["accuracy"] == report.scores_of().source.accuracy
    assert row["held_out_accuracy"] == report.scores_of().regions["Africa"].accuracy
    assert row["worst"] in ("Asia", "Europe")
    assert f"{100 * row['held_out_accuracy']:.1f}" in str(found)
    assert "Africa held out" in str(found)


def test_compare_refuses_different_protocols(make_report, predictions):
    one = make_report(predictions)
    for change in ({"split": "val"}, {"split_seed": 1}, {"data_hash": "xyz"}):
        with pytest.raises(
            DataError, match=f"two has {next(iter(change))} .*compare reports of one protocol"
        ):
            compare({"one": one, "two": make_report(predictions, **change)})
    with pytest.raises(DataError, match="held_out 'Asia'"):
        compare({"one": one, "two": make_report(predictions, held_out="Asia")})
    with pytest.raises(DataError, match="at least one"):
        compare({})


def test_the_page_on_formats_names_every_key(make_report, predictions):
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    data = make_report(predictions, held_out="Asia").as_dict()
    data["scores"] = data["scores"]["all"]
    data["scores"]["regions"] = data["scores"]["regions"]["Asia"]
    for routing in data["experts_report"]["routing"]:
        routing.pop("load_by_region")
    keys = {key for holder in _holders(data) for key in holder} | {"load_by_region"}
    rows = compare({"moge": make_report(predictions)}).as_dict()
    keys |= {*rows, *rows["rows"][0]}
    assert sorted(key for key in keys if f"`{key}`" not in page) == []


def _holders(value):
    """Every dictionary inside a value, itself included."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _holders(item)
