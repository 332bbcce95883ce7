"""The runs of a spec: names, configurations, collisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from geomoe.bench.planning.plan import base_row, make_plan
from geomoe.bench.planning.spec import spec_of
from geomoe.bench.running.folders import check_folders
from geomoe.config.load import load
from geomoe.errors import ConfigError, OutputError
from geomoe.training.runfolder import RunFolder, run_folder

LEAST = {"data": "bluemarble", "algorithms": ["erm", "moge"], "budget": 10, "seeds": 2}


def plan_of(output="out", **values):
    return make_plan(spec_of({**LEAST, **values}), Path(output))


def test_runs_are_named_and_ordered_seed_by_seed():
    plan = plan_of(held_out=["Asia", None])
    assert [run.name for run in plan.runs] == [
        f"{label}-{target}seed{seed}-trial0"
        for seed in (0, 1)
        for target in ("asia-", "")
        for label in ("erm", "moge")
    ]
    assert plan.folder(plan.runs[1]) == Path("out/runs/bluemarble/moge/moge-asia-seed0-trial0")


def test_a_run_is_what_geomoe_train_makes_of_its_configuration():
    plan = plan_of(held_out="Asia", split="seed", selection="worst", settings={"optimizer": {"lr": 0.01}})
    for run in plan.runs:
        config = plan.config(run)
        assert run_folder(config).path == plan.folder(run)
        assert (config.seed, config.data.split_seed, config.data.held_out) == (run.seed, run.seed, "Asia")
        assert (config.trainer.max_steps, config.trainer.select) == (10, "val_worst_region_acc")
        assert (config.optimizer.lr, config.data.batch_size) == (0.01, load("bluemarble").data.batch_size)


def test_methods_that_cannot_be_combined_are_refused_before_any_run():
    wrapped = [{"name": name, "around": around} for name, around in (("dann", ["sagm"]), ("erm", ["swad"]))]
    with pytest.raises(ConfigError) as caught:
        plan_of(algorithms=wrapped)
    assert str(caught.value) == (
        "dann-sagm: around: sagm needs a method whose update is one step along the gradient of its losses; "
        "dann has an update of its own"
    )


def test_grids_multiply_and_leave_out_what_does_not_apply():
    plan = plan_of(
        grid={"moge.aux": [0.0, 0.5], "optimizer.lr": [0.001]},
        algorithms=["erm", {"name": "moge", "grid": {"model.num_experts": [4, 6]}}],
    )
    assert list(plan.rows) == [
        "erm-lr0.001",
        *(f"moge-aux{aux}-lr0.001-num_experts{n}" for aux in ("0", "0.5") for n in (4, 6)),
    ]
    config = plan.rows["moge-aux0.5-lr0.001-num_experts4"].config
    assert (config.options["moge"]["aux"], config.model.num_experts) == (0.5, 4)


def test_keys_of_networks_apply_where_they_are_read():
    algorithms = ["erm", "moge", "gmoe", "messi_ot"]
    plan = plan_of(algorithms=algorithms, grid={"model.num_experts": [3, 6], "encoder.noise": [0.1]})
    assert list(plan.rows) == [
        "erm",
        *(f"moge-num_experts{n}-noise0.1" for n in (3, 6)),
        *(f"gmoe-num_experts{n}" for n in (3, 6)),
        "messi_ot",  # the experts of a head are an option of the method
    ]


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"algorithms": ["erm", "gmoe"], "grid": {"model.top_k": [1, 2]}}, "grid.model.top_k"),
        ({"algorithms": ["erm"], "trials": 2, "search": {"encoder.noise": [0.1]}}, "search.encoder.noise"),
        (
            {"algorithms": ["moge", {"name": "erm", "grid": {"model.top_k": [1, 2]}}]},
            "algorithms.1.grid.model.top_k",
        ),
    ],
)
def test_keys_that_no_network_reads_are_refused(values, where):
    with pytest.raises(ConfigError, match=f"^{where}: no network here reads it, so it would do nothing"):
        plan_of(**values)


def test_keys_of_one_last_name_are_told_apart():
    plan = plan_of(algorithms=["moge"], grid={"encoder.noise": [0.1], "model.expert_noise": [0.2]})
    assert list(plan.rows) == ["moge-noise0.1-expert_noise0.2"]
    plan = plan_of(algorithms=["moge"], grid={"encoder.name": ["sh"], "optimizer.name": ["adam"]})
    assert list(plan.rows) == ["moge-encoder_namesh-optimizer_nameadam"]


def test_rows_are_compared_on_the_same_data():
    plan = plan_of(held_out="Asia", grid={"data.train_domains": [["Europe"], ["Europe", "Africa"]]})
    for row in plan.rows.values():
        base = base_row(plan, row)
        assert (base.algorithm, base.config.data) == ("erm", row.config.data)
    assert {row.domains for row in plan.rows.values()} == {1, 2}
    assert {row.variant for row in plan.rows.values()} == {"erm", "moge"}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"algorithms": ["erm", "erm"]}, "algorithms: two rows would be called erm"),
        (
            {"algorithms": ["erm", {"name": "moge", "label": "ERM"}]},
            "algorithms: two rows would be called ERM",
        ),
        ({"baseline": "emr"}, "baseline: no row 'emr'; did you mean erm?"),
        (
            {"settings": {"model": {"top_k": 9}}, "algorithms": ["moge"]},
            "moge: model.top_k: a sample uses 9 experts",
        ),
        (
            {"data": "pacs", "algorithms": ["erm_le"]},
            "erm_le: algorithm: erm_le asks where an image was taken",
        ),
        (
            {"held_out": "Asia", "settings": {"data.train_domains": ["Asia"]}, "algorithms": ["erm"]},
            "erm: data.train",
        ),
    ],
)
def test_refusals(values, line):
    with pytest.raises(ConfigError) as caught:
        plan_of(**values)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_domains_whose_folders_would_be_one():
    with pytest.raises(ConfigError, match="would both lie in") as caught:
        plan_of(data="folder", algorithms=["erm"], held_out=["#12", "12"])
    assert "\n" not in str(caught.value)


def test_faults_of_all_rows_at_once():
    with pytest.raises(ConfigError) as caught:
        plan_of(algorithms=[{"name": n, "settings": {f"{n}.weight": -1.0}} for n in ("irm", "vrex")])
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["irm", "vrex"]


def test_a_folder_with_a_run_of_another_configuration(tmp_path):
    plan = plan_of(tmp_path, algorithms=["erm"], seeds=1)
    (run,) = plan.runs
    RunFolder(plan.folder(run)).start(plan.config(run))
    check_folders(plan)
    other = plan_of(tmp_path, algorithms=["erm"], seeds=1, settings={"optimizer": {"lr": 0.5}})
    with pytest.raises(
        ConfigError, match=r"another configuration is there: optimizer.lr: 0.001, now 0.5"
    ) as caught:
        check_folders(other)
    assert "\n" not in str(caught.value)


def test_an_output_that_is_a_file(tmp_path):
    from geomoe.bench import bench

    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be a folder"):
        bench(LEAST, tmp_path / "file" / "out")


def test_more_runs_than_a_bench_can_hold_are_refused():
    message = "rows, seeds, held-out domains and trials make 400,000 runs; a bench has at most 100,000"
    with pytest.raises(ConfigError, match=message):
        plan_of(seeds=1000, trials=200)
