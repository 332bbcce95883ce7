"""The README's first command: what it asks for, that it goes on, and that it ends in a table and a map."""

from __future__ import annotations

import json
from functools import cache

import pytest

from geomoe import evaluation, mapping, quickstart, training
from geomoe.bench.planning.shipped import shipped_specs
from geomoe.bench.planning.spec import read_spec
from geomoe.catalogue import METHODS
from geomoe.cli import main
from geomoe.quickstart import SHOWN, configuration


@pytest.fixture
def short(monkeypatch):
    """The real training and evaluation, on two batches; a map without its points."""
    fit, evaluate, draw, calls = training.fit, cache(evaluation.evaluate), mapping.map_experts, []

    def short_fit(config, **options):
        calls.append((config.algorithm, options["resume"]))
        return fit(config, **options, limit_batches=2)

    def short_evaluate(checkpoint):
        return evaluate(checkpoint, split="val", bootstrap=20, diagnostics=False)

    @cache
    def short_map(checkpoint, output, step):
        return draw(checkpoint, output, step=step, points=False)

    monkeypatch.setattr(mapping, "map_experts", short_map)
    monkeypatch.setattr(training, "fit", short_fit)
    monkeypatch.setattr(evaluation, "evaluate", short_evaluate)
    return calls


def test_what_location_can_do_without_experts_stands_beside_moge():
    assert SHOWN == ("erm", "erm_le", "film_le", "le_mlp", "le_token", "moge", "moge_le")


def test_the_bench_that_is_named_has_all_methods():
    labels = {one.label for one in read_spec(shipped_specs()["bluemarble-methods"]).algorithms}
    assert {name for name, entry in METHODS.items() if not entry.wrapper} <= labels


def test_configurations_differ_in_the_method_alone(tmp_path):
    plain = {method: configuration(method, 3, tmp_path).as_dict() for method in SHOWN}
    for method, values in plain.items():
        assert values.pop("algorithm") == method
        assert values["trainer"]["max_epochs"] == 3
        values.pop(method, None)  # its own options
    assert all(values == plain["erm"] for values in plain.values())


@pytest.mark.slow
def test_from_nothing_to_table_and_map_and_again(short, monkeypatch, capsys, tmp_path):
    methods = ("erm", "moge")  # tests/cli/test_methods.py trains each method
    monkeypatch.setattr(quickstart, "SHOWN", methods)
    expected = [
        row for name in methods for row in ([name, f"{name}-SE"] if METHODS[name].experts else [name])
    ]
    argv = ["quickstart", "--output", "out", "--epochs", "1", "--step", "10", "--quiet"]
    assert main(argv) == 0
    out, _ = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert [row for row in rows if row in expected][: len(expected)] == expected
    told = out.index("all methods are compared by:\n  geomoe bench bluemarble-methods")
    assert out.index("moge-SE") < told < out.index("out/map/experts.html")
    assert (tmp_path / "out/map/experts.html").is_file()
    assert (tmp_path / "out/evaluation/erm/report.json").is_file()
    assert json.loads((tmp_path / "out/comparison.json").read_text(encoding="utf-8"))["split"] == "val"
    assert short == [(method, False) for method in methods]

    short.clear()
    monkeypatch.setattr(evaluation.Report, "save", lambda report, folder: None)  # they are there
    (tmp_path / "out/runs/bluemarble/moge/1-epochs/done").unlink()  # as if it had been stopped at the end
    assert main([*argv, "--json"]) == 0
    assert short == [("moge", True)]
    again = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in again["comparison"]["rows"]] == expected


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def fit(config, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", fit)
    assert main(["quickstart", "--epochs", "2", "--quiet"]) == 130
    assert capsys.readouterr() == (
        "",
        "geomoe: interrupted; go on with: geomoe quickstart --epochs 2 --quiet\n",
    )
