"""The results page: means and deviations of its records, and the commands of the runs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(monkeypatch):
    """benchmarks.results, which is no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import results

    return results


@pytest.fixture
def page(results):
    from benchmarks import results_page

    return results_page


def row(method, base, held_out=None):
    return {
        "method": method, "accuracy": base, "worst_accuracy": base - 0.1, "macro_f1": base - 0.05,
        "calibration_error": 0.03, "held_out_accuracy": held_out,
        "regions": {"Asia": base + 0.1, "Africa": base},
    }  # fmt: skip


def record(method, seed, base, protocol="all", config="bluemarble"):
    held_out = None if protocol == "all" else base - 0.2
    rows = [row(method, base, held_out)] + (
        [row("moge-SE", base - 0.07, held_out)] if method == "moge" else []
    )
    return {
        "config": config, "method": method, "protocol": protocol, "seed": seed, "cpu_seconds": 60.0 + seed,
        "train": f"geomoe train {config} --algorithm {method} --seed {seed}",
        "evaluate": f"geomoe evaluate {seed}", "data_hash": "f" * 64, "count": 5000, "rows": rows,
    }  # fmt: skip


VALUES = {"erm": [0.5, 0.52, 0.51], "moge": [0.61, 0.64, 0.6]}


@pytest.fixture
def records():
    return [record(method, seed, base) for method, bases in VALUES.items() for seed, base in enumerate(bases)]


def test_tables_have_mean_and_sample_deviation(page, records):
    text = page.tables(records)
    for method, name in (("erm", "ERM"), ("moge", "MoGE")):
        mean, spread = (100 * f(VALUES[method]) for f in (statistics.mean, statistics.stdev))
        assert f"| {name} | 3 | {mean:.1f} ± {spread:.1f} | {mean - 10:.1f} ± {spread:.1f} |" in text
    assert f"| MoGE: shared expert alone (SE) | 3 | {100 * statistics.mean(VALUES['moge']) - 7:.1f} ±" in text
    assert "| 61 |\n" in text  # CPU seconds of ERM
    for one in records:
        assert one["train"] in text
        assert one["evaluate"] in text


def test_held_out_and_other_configurations_get_their_own_section(page, records):
    records = [*records, record("erm", 0, 0.5, "Asia"), record("moge", 0, 0.6, config="bluemarble-vit-tiny")]
    text = page.tables(records)
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## `bluemarble`, all regions",
        "## `bluemarble`, Asia held out",
        "## `bluemarble-vit-tiny`, all regions",
    ]
    assert "| ERM | 1 | 50.0 | 40.0 | 30.0 | 45.0 | 3.0 | 60 |" in text  # one seed: no deviation


def test_page_keeps_the_text_around_the_markers(page, records, tmp_path):
    page.write_page(records[:1], tmp_path)
    file = tmp_path / "results.md"
    file.write_text(file.read_text().replace("# Results", "# Results\n\nBy hand.") + "\nThe end.\n")
    page.write_page(records, tmp_path)
    text = file.read_text()
    assert text.startswith("# Results\n\nBy hand.")
    assert text.endswith("\nThe end.\n")
    assert text.count("## `bluemarble`, all regions") == 1
    assert json.loads((tmp_path / "results.json").read_text()) == records


def test_page_without_markers_is_left_alone(page, records, tmp_path):
    (tmp_path / "results.md").write_text("mine")
    with pytest.raises(SystemExit, match="markers are gone"):
        page.write_page(records, tmp_path)
    assert (tmp_path / "results.md").read_text() == "mine"


def test_the_command_of_a_run_is_its_configuration(results):
    from geomoe.cli.train import split
    from geomoe.config.load import load

    for run in (
        results.Run("bluemarble", "moge", "Asia", 2),
        results.Run("bluemarble", "erm", "all", 0),
        results.Run("bluemarble-vit-tiny", "erm_le", "Oceania", 1),
    ):
        program, verb, *rest = run.command()
        assert (program, verb) == ("geomoe", "train")
        settings, names, faults = split(rest)
        assert names == [run.config]
        assert faults == []
        config = run.configuration("runs")
        assert load(names[0], flags=settings) == config
        assert (config.algorithm, config.seed) == (run.method, run.seed)
        assert config.data.held_out == (None if run.protocol == "all" else run.protocol)


@pytest.mark.slow
def test_every_run_has_its_own_folder(results):
    runs = results.known_runs(results.parse([]))
    folders = {run.folder("runs").path for run in runs}
    assert len(folders) == len(runs) == 2 * 2 * 3 * len(results.METHODS)
    assert set(results.plan(results.parse([]))) <= set(runs)


def test_the_bench_has_the_configurations_of_the_commands(results, monkeypatch):
    """The bench of a protocol trains what the printed commands train, to the update."""
    from geomoe.bench import spec_of
    from geomoe.bench.planning.plan import make_plan
    from geomoe.training.runfolder import different_keys

    steps, _ = results.updates("bluemarble", "Asia")
    spec = spec_of(results.spec("bluemarble", "Asia", results.METHODS, [0, 1], 10))
    plan = make_plan(spec, results.bench_folder("runs", "bluemarble", "Asia"))
    for run in plan.runs:
        wanted = results.Run("bluemarble", run.label, "Asia", run.seed)
        assert wanted.folder("runs").path == plan.folder(run)
        found = different_keys(wanted.configuration("runs").as_dict(), plan.config(run).as_dict())
        assert found == [f"trainer.max_steps: 0, now {steps}"]


@pytest.mark.slow
@pytest.mark.long
def test_runs_become_a_page(results, monkeypatch, tmp_path):
    """From the command to the page, with two updates in the place of twelve epochs."""
    _, data_hash = results.updates("bluemarble", "all")
    monkeypatch.setattr(results, "updates", lambda config, protocol: (2, data_hash))
    words = ["--methods", "erm", "--protocols", "all", "--seeds", "0", "--jobs", "1", "--bootstrap", "0"]
    words += ["--output", str(tmp_path / "runs"), "--docs", str(tmp_path / "docs")]
    assert results.main(words) == 0
    (one,) = json.loads((tmp_path / "docs" / "results.json").read_text())
    assert (one["method"], one["seed"], one["count"]) == ("erm", 0, 4921)
    assert one["cpu_seconds"] > 0
    assert (
        "geomoe train bluemarble --algorithm erm --seed 0" in (tmp_path / "docs" / "results.md").read_text()
    )
    monkeypatch.setattr(results, "updates", lambda config, protocol: (3, "f" * 64))
    assert results.main([*words, "--only-report"]) == 0
    assert json.loads((tmp_path / "docs" / "results.json").read_text()) == []


def test_the_readme_and_the_page_hold_what_the_records_say(page):
    records = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    for name, table in (("README.md", page.summary(records)), ("docs/results.md", page.tables(records))):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text == page.between_markers(text, table, Path(name))
        assert "ERM + location encoding" in table
