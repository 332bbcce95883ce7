"""A whole bench in one process: runs, results, files, skipping, failures, resume."""

from __future__ import annotations

import csv
import json
import re
import shutil
import statistics
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scipy import stats

from geomoe.bench import Results, bench, spec_of
from geomoe.bench.planning.plan import make_plan
from geomoe.bench.results.known import read_counts
from geomoe.bench.results.tables import main_table
from geomoe.bench.running.run_values import read_done, read_failed
from geomoe.bench.running.work import WorkOptions, state_of, work
from geomoe.checkpoint import load_checkpoint
from geomoe.errors import ConfigError, DataError
from geomoe.evaluation import Report, evaluate
from geomoe.training import RunFolder, fit

pytestmark = pytest.mark.slow  # a fixture for all of them takes seconds


@pytest.fixture(scope="module")
def made(tmp_path_factory, small):
    """The folder and the result of a finished bench; tests do not change it."""
    folder = tmp_path_factory.mktemp("bench")
    return folder, bench(small, folder, command=("geomoe", "bench"))


@pytest.fixture
def copy(made, tmp_path):
    """A copy of that folder, to change."""
    shutil.copytree(made[0], tmp_path / "bench")
    return tmp_path / "bench"


@pytest.fixture
def plan_of(small):
    return lambda folder, **changes: make_plan(spec_of({**small, **changes}), folder)


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("runs/**/*") if path.is_file()}


def test_every_run_is_a_run_folder_with_a_report(made, plan_of):
    folder, result = made
    assert result.complete
    for run in plan_of(folder).runs:
        path = plan_of(folder).folder(run)
        names = {one.name for one in path.iterdir()}
        assert {
            "config.yaml",
            "run.json",
            "metrics.csv",
            "done",
            "checkpoints",
            "report.json",
            "bench.json",
            "counts.json",
        } <= names
        report = Report.load(path)
        assert (report.algorithm, report.seed, report.held_out) == (run.label, run.seed, "east")
        assert json.loads((path / "run.json").read_text())["starts"][0]["command"] == ["geomoe", "bench"]
        assert [row["step"] for row in csv.DictReader((path / "metrics.csv").open())] == ["3", "6"]
    assert not list((folder / "claims").iterdir())


def test_a_run_has_the_weights_of_geomoe_train(made, tmp_path, plan_of):
    plan = plan_of(made[0])
    run = plan.runs[1]
    alone = fit(replace(plan.config(run), output=str(tmp_path)), quiet=True)
    one, other = (
        load_checkpoint(path / "checkpoints/best.ckpt").state_dict
        for path in (alone.folder, plan.folder(run))
    )
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_scores_are_those_of_geomoe_evaluate(made, plan_of):
    folder, result = made
    plan = plan_of(folder)
    for run in plan.runs:
        found = evaluate(plan.folder(run) / "checkpoints/best.ckpt", bootstrap=0, diagnostics=False)
        entry = next(one for one in result.results.runs if one.name == run.name)
        scores = entry.scores["all"]
        assert scores["accuracy"] == found.scores_of().held_out.accuracy
        assert scores["source_accuracy"] == found.scores_of().source.accuracy
        blocks = read_done(plan.folder(run)).blocks
        assert sum(blocks.count) == found.scores_of().held_out.count
        assert sum(blocks.correct["all"]) / sum(blocks.count) == pytest.approx(scores["accuracy"])
        counts = read_counts(plan.folder(run), read_done(plan.folder(run)))  # holds them to the scores
        assert sum(counts.classes.count) == sum(blocks.count)


def recalls(found, without=None):
    """Share of the samples of each class that are right, from the cells of confusion matrices."""
    size = len(found.classes)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (list(found.label), list(found.answer)), found.count)
    if without is not None:
        np.subtract.at(matrix, (list(without.label), list(without.answer)), without.count)
    count = matrix.sum(axis=1)
    return matrix.diagonal()[count > 0] / count[count > 0]


def test_the_worst_class_is_that_of_the_confusion_matrix(made):
    folder, result = made
    for entry in result.results.runs:
        for choice, own in Report.load(folder / entry.folder).scores.items():
            scores, apart = entry.scores[choice], own.held_out_confusion
            assert scores["worst_class"] == min(recalls(apart))
            assert scores["source_worst_class"] == min(recalls(own.confusion, apart))


def test_records_without_the_worst_class_have_it_from_their_reports(copy, made, small):
    files = sorted(copy.glob("runs/*/*/*/bench.json"))
    for file in files:
        found = json.loads(file.read_text())
        for scores in found["scores"].values():
            del scores["worst_class"], scores["source_worst_class"]
        file.write_text(json.dumps(found))
    assert bench(small, copy).results == made[1].results
    found["scores"]["all"]["source_worst_class"] = 0.125
    file.write_text(json.dumps(found))
    with pytest.raises(DataError, match=r"report\.json: holds other scores than bench\.json beside it"):
        bench(small, copy)
    del found["scores"]["all"]["source_worst_class"], found["scores"]["all"]["macro_f1"]
    file.write_text(json.dumps(found))
    with pytest.raises(DataError, match=r"report\.json: holds other scores"):
        bench(small, copy)


def test_rows_are_statistics_of_their_runs(made):
    results = made[1].results
    by_label = {row.label: row for row in results.rows}
    assert list(by_label) == ["erm", "moge", "moge-SE"]
    values = {
        label: [
            one.scores[row.experts]["accuracy"]
            for one in results.runs
            if one.label == row.label.removesuffix("-SE")
        ]
        for label, row in by_label.items()
    }
    for label, row in by_label.items():
        assert (row.finished, row.planned, row.failed) == (2, 2, 0)
        assert row.scores["accuracy"].mean == pytest.approx(statistics.mean(values[label]))
        assert row.scores["accuracy"].sd == pytest.approx(statistics.stdev(values[label]))
        low, high = row.interval
        assert low <= row.scores["accuracy"].mean <= high
    assert by_label["erm"].difference is None
    found = by_label["moge"].difference
    assert found.mean == pytest.approx(np.mean(np.subtract(values["moge"], values["erm"])))
    expected = stats.ttest_rel(values["moge"], values["erm"]).pvalue
    assert found.p == (pytest.approx(expected) if np.isfinite(expected) else None)
    assert results.compared == sum(
        row.difference is not None and row.difference.p is not None for row in results.rows
    )
    ranks = np.mean([stats.rankdata([-values[label][k] for label in by_label]) for k in (0, 1)], axis=0)
    assert [row.rank for row in results.rows] == pytest.approx(ranks.tolist())


def test_files_and_their_links(made):
    folder, result = made
    assert {path.name for path in result.files} == {
        "results.json",
        "table.md",
        "table.csv",
        "table.tex",
        "bench.html",
    }
    assert Results.load(folder) == result.results
    page = (folder / "bench.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'href="([^"]+)"', page)
    assert sum(link.startswith("runs/") for link in links) > 20
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (folder / link).is_dir()
    ElementTree.fromstring(re.search(r"<table.*?</table>", page, re.DOTALL)[0])
    text = (folder / "table.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert f'<a id="{link[1:]}">' in text if link.startswith("#") else (folder / link).is_dir()
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert [row["method"] for row in rows] == ["erm", "moge", "moge-SE"]
    for row, expected in zip(rows, result.results.rows, strict=True):
        assert float(row["accuracy"]) == expected.scores["accuracy"].mean
        assert all((folder / one / "done").exists() for one in row["runs"].split())
    tex = (folder / "table.tex").read_text()
    assert tex.count(r"\\") == 4
    found = re.findall(r"\\href\{\\benchfolder/((?:\\[%#_]|[^\\%#_{}])+)\}\{.*?[0-9].*?\}", tex)
    assert len(found) == sum(cell.link is not None for row in main_table(result.results).rows for cell in row)
    for link in found:
        path, _, place = re.sub(r"\\(.)", r"\1", link).partition("#")
        assert path == "bench.html"
        assert unquote(place) in anchors
    assert r"95 \% interval" in tex


def test_a_second_call_does_nothing_and_says_the_same(made, copy, caplog, small):
    before = stamps(copy)
    result = bench(small, copy)
    assert stamps(copy) == before
    assert result.results == made[1].results


def test_a_killed_run_goes_on_to_the_same_bits(made, copy, monkeypatch, small, plan_of):
    """Stopped in the middle, then called again: the same weights as without the stop."""
    plan = plan_of(copy)
    run = plan.runs[0]
    whole = load_checkpoint(plan.folder(run) / "checkpoints/best.ckpt").state_dict
    shutil.rmtree(plan.folder(run))

    from geomoe.training import saving

    monkeypatch.setattr(saving.StopRequest, "came", True, raising=False)
    monkeypatch.setattr(saving.StopRequest, "__init__", lambda self: None)
    with pytest.raises(KeyboardInterrupt):
        work(plan, WorkOptions())
    monkeypatch.undo()
    assert (plan.folder(run) / "checkpoints/last.ckpt").exists()
    assert not (plan.folder(run) / "done").exists()
    partial = bench(small, copy, table_only=True)
    row = partial.results.rows[0]
    assert not partial.complete
    assert (row.finished, row.planned, row.rank, partial.results.rows[1].difference) == (1, 2, None, None)
    assert "1 of 2" in (copy / "table.md").read_text()
    assert bench(small, copy).complete
    found = load_checkpoint(plan.folder(run) / "checkpoints/best.ckpt").state_dict
    assert all(torch.equal(whole[name], found[name]) for name in whole)


def test_failures_are_listed_and_tried_again_when_asked(copy, small):
    changes = {
        "algorithms": [
            *small["algorithms"],
            {"name": "erm", "label": "wild", "settings": {"optimizer.lr": 1e6}},
        ]
    }
    result = bench({**small, **changes}, copy)
    assert not result.complete
    row = result.results.rows[-1]
    assert (row.label, row.finished, row.failed) == ("wild", 0, 2)
    failed = [one for one in result.results.runs if one.state == "failed"]
    assert [one.attempts for one in failed] == [1, 1]
    assert all("\n" not in one.error and "diverged" in one.error for one in failed)
    assert "failed, 1 x: " in (copy / "table.md").read_text()
    assert [one.attempts for one in bench({**small, **changes}, copy).results.runs if one.error] == [1, 1]
    again = bench({**small, **changes}, copy, retry_failed=True)
    assert [one.attempts for one in again.results.runs if one.error] == [2, 2]


def test_a_trial_that_diverges_counts_as_tried(copy, small, plan_of):
    changes = {"trials": 2, "seeds": 1, "algorithms": ["erm"], "search": {"optimizer.lr": [1e6]}}
    result = bench({**small, **changes}, copy)
    plan = plan_of(copy, **changes)
    failed = read_failed(plan.folder(plan.runs[1]))
    assert (failed.kind, failed.attempts) == ("diverged", 1)
    (row,) = result.results.rows
    assert (row.finished, row.failed, row.runs) == (1, 1, ("erm-east-seed0-trial0",))


def test_the_trial_with_the_best_validation_is_chosen(copy, small):
    changes = {
        "trials": 3,
        "seeds": 1,
        "algorithms": ["erm"],
        "search": {"optimizer.lr": [0.01, 0.003, 1e-7]},
    }
    results = bench({**small, **changes}, copy).results
    best = max(results.runs, key=lambda one: one.validation)
    assert [one.name for one in results.runs if one.chosen] == [best.name]
    assert results.rows[0].scores["accuracy"].mean == best.scores["all"]["accuracy"]
    assert [set(one.drawn) for one in results.runs] == [set(), {"optimizer.lr"}, {"optimizer.lr"}]


def test_optuna_goes_trial_by_trial(tmp_path, small):
    pytest.importorskip("optuna")
    changes = {"trials": 3, "seeds": 1, "algorithms": ["erm"], "sampler": "optuna", "budget": 2}
    spec = {**small, **changes, "search": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}
    results = bench(spec, tmp_path).results
    drawn = [one.drawn.get("optimizer.lr") for one in results.runs]
    assert drawn[0] is None
    assert all(1e-4 <= value <= 1e-2 for value in drawn[1:])
    assert drawn[1] != drawn[2]


def test_the_last_epoch(copy, small):
    results = bench(
        {**small, "selection": "last", "seeds": 1, "algorithms": ["erm"]}, copy.parent / "last"
    ).results
    done = read_done(copy.parent / "last" / results.runs[0].folder)
    assert done.selected_by == "val_acc, last epoch"


def test_folders_of_other_runs_are_refused(copy, small):
    before = stamps(copy)
    with pytest.raises(ConfigError, match=r"another configuration is there: trainer\.max_steps: 6, now 5"):
        bench({**small, "budget": 5}, copy)
    assert stamps(copy) == before


@pytest.mark.parametrize(
    ("content", "line"),
    [("{", "cannot be read as JSON"), ("{}", "not of format 1"), ('{"format": 1}', "damaged: selected_by")],
)
def test_damaged_files_of_a_run(copy, content, line, small, plan_of):
    plan = plan_of(copy)
    (plan.folder(plan.runs[0]) / "bench.json").write_text(content)
    with pytest.raises(DataError, match=line) as caught:
        bench(small, copy, table_only=True)
    assert "\n" not in str(caught.value)


def test_runs_on_other_data_are_not_compared(copy, small, plan_of):
    plan = plan_of(copy)
    file = plan.folder(plan.runs[0]) / "bench.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "data_hash": "f" * 64}))
    with pytest.raises(DataError, match="was judged on other data than"):
        bench(small, copy, table_only=True)


def test_results_that_are_damaged(copy):
    with pytest.raises(DataError, match="not results of format 2"):
        Results.load(_write(copy / "x.json", {"format": 1}))
    with pytest.raises(DataError, match="damaged: data: "):
        Results.load(_write(copy / "y.json", {"format": 2, "data": 3}))


def _write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_a_run_that_a_live_process_trains_is_left_alone(plan_of, tmp_path, caplog):
    """Its claim was old, but its lock is held: it was only asleep."""
    plan = plan_of(tmp_path, algorithms=["erm"], seeds=1)
    with RunFolder(plan.folder(plan.runs[0])).alone():
        assert work(plan, WorkOptions(wait=False)) == 0
    assert state_of(plan, plan.runs[0]) == "open"
    assert "another process has it now" in caplog.text
    assert work(plan, WorkOptions()) == 1


def test_reports_count_the_source_domains(small, tmp_path):
    """geomoe summarize draws curves over them."""
    spec = {**small, "algorithms": ["coral"], "seeds": 1, "grid": {"data.train_domains": [["west", "north"]]}}
    (run,) = bench(spec, tmp_path).results.runs
    assert run.state == "done"
    assert Report.load(tmp_path / run.folder).options["num_domains"] == 2
