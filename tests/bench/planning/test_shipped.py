"""The shipped specs: every run of each has a valid configuration, and they vary what they say."""

from __future__ import annotations

import json

import pytest

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.shipped import shipped_specs
from geomoe.bench.planning.spec import read_spec
from geomoe.catalogue import ALGORITHMS
from geomoe.cli import main

#: What location does in one network without experts at its blocks, and with its encoding beside them.
LOCATION_ALONE = {"film_le", "le_mlp", "le_token", "moge_le"}
TWINS = 5 + 14  # by parameters, which rows share, and by FLOPs
RUNS = {
    "poster-ablation-1": (6 + 3 * 3 * 2) * 3,
    "poster-ablation-2": (6 + 2 * 2) * 3,
    "messi-invariance-sweep": 6 * 3,
    "messi-objectives": 6 * 4 * 3,
    "bluemarble-methods": len(ALGORITHMS) + 1 + TWINS,
    "messi-selectors": 7 * 4 * 3,
    "domain-growth": 8 * (1 + 5 + 1) * 3,
    "region-growth": 3 * 9 * 3,
}


def test_every_spec_is_known():
    assert set(shipped_specs()) == {*RUNS, "all-methods"}


@pytest.mark.parametrize("name", RUNS)
def test_a_dry_run_lists_every_run(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", name, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == RUNS[name]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", shipped_specs())
def test_beside_moge_stands_what_location_can_do(name):
    names = {row.name for row in read_spec(shipped_specs()[name]).algorithms}
    assert "moge" not in names or names >= LOCATION_ALONE


@pytest.mark.slow
def test_all_methods_has_all_of_them(tmp_path):
    plan = make_plan(read_spec(shipped_specs()["all-methods"]), tmp_path)
    own = [row for row in plan.rows.values() if row.twin is None]
    assert [row.label for row in own] == [*ALGORITHMS, "erm-swad"]
    assert {row.twin for row in plan.rows.values()} == {None, "parameters", "flops"}


@pytest.mark.slow
def test_what_the_ablations_vary(tmp_path):
    plans = {
        name: make_plan(read_spec(path), tmp_path) for name, path in shipped_specs().items() if name in RUNS
    }
    rows = plans["messi-invariance-sweep"].rows.values()
    assert [row.config.options["messi_ot"]["ssi"] for row in rows] == [0, 1e-3, 1e-2, 0.1, 1, 10]
    rows = plans["messi-objectives"].rows
    off = {
        label: {name for name in ("ssi", "sp", "bal", "div") if not row.config.options["messi_ot"][name]}
        for label, row in rows.items()
    }
    assert list(off.values()) == [set(), {"ssi"}, {"sp"}, {"bal"}, {"div"}, {"sp", "bal", "div"}]
    for row in rows.values():
        assert (row.config.model.backbone, row.config.optimizer.lr) == ("deit_small_patch16_224", 3e-5)
    growth = plans["domain-growth"]
    assert {growth.config(run).data.split_seed for run in growth.runs} == {0, 1, 2}
    assert {row.domains for row in growth.rows.values()} == {3, 5, 7, 9, 11, 13, 15, 17}
    assert {row.config.data.budget for row in growth.rows.values()} == {2040}
    coral = {
        row.config.options["coral"]["weight"] for row in growth.rows.values() if row.algorithm == "coral"
    }
    assert coral == {1, 10, 100, 250, 500}
    second = plans["poster-ablation-2"].rows.values()
    varied = {
        (row.config.options["moge"]["cka"], row.config.model.gamma)
        for row in second
        if row.algorithm == "moge"
    }
    assert varied == {(0, 0), (0, 0.5), (0.1, 0), (0.1, 0.5)}
