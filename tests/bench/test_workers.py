"""Several processes on one folder: no run twice, and the run of a killed process goes on in another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from geomoe.bench import bench, spec_of
from geomoe.bench.plan import make_plan
from geomoe.bench.work import state_of
from geomoe.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


def start(spec, folder, *flags):
    file = folder.parent / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "geomoe", "bench", str(file), "--output", str(folder), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def starts(plan, run):
    return len(json.loads((plan.folder(run) / "run.json").read_text())["starts"])


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_workers_share_the_runs_and_a_killed_one_is_followed(small, tmp_path):
    """One process is killed in the middle of a run; the other one takes it over and ends complete."""
    settings = {
        **small["settings"],
        "trainer": {**small["settings"]["trainer"], "checkpoint_every_n_steps": 2},
    }
    spec = {**small, "algorithms": ["erm"], "seeds": 3, "budget": 150, "settings": settings}
    folder = tmp_path / "bench"
    plan = make_plan(spec_of(spec), folder)
    first = start(spec, folder)
    try:
        until(lambda: (plan.folder(plan.runs[0]) / "checkpoints/last.ckpt").exists())
        second = start(spec, folder)
        until(lambda: any(state_of(plan, run) == "begun" for run in plan.runs[1:]))
        begun = [run for run in plan.runs if state_of(plan, run) == "begun"]
        mine = [
            path.name
            for path in (folder / "claims").glob("erm-*")
            if f'"pid": {first.pid}' in path.read_text()
        ]
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.communicate()
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert all(state_of(plan, run) == "done" for run in plan.runs)
    assert begun
    assert not list((folder / "claims").glob("erm-*"))
    taken = [run for run in plan.runs if f"{run.name}.1" in mine]
    for run in plan.runs:
        assert starts(plan, run) == (2 if run in taken else 1)
    if taken:
        assert f"{taken[0].name}: goes on" in err
    alone = bench(spec, tmp_path / "alone")
    for run in plan.runs:
        one, other = (
            load_checkpoint(path / "checkpoints/last.ckpt").state_dict
            for path in (plan.folder(run), make_plan(spec_of(spec), tmp_path / "alone").folder(run))
        )
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert alone.complete


def test_workers_of_one_call(small, tmp_path):
    """Two worker processes of one call; Ctrl-C is passed on to them, and the next call goes on."""
    spec = {**small, "budget": 40}
    folder = tmp_path / "bench"
    plan = make_plan(spec_of(spec), folder)
    one = start(spec, folder, "--workers", "2")
    until(lambda: sum(state_of(plan, run) == "begun" for run in plan.runs) > 1 or _ended(plan))
    one.send_signal(signal.SIGTERM)
    _, err = one.communicate(timeout=120)
    assert one.returncode == 130, err
    assert "go on with: geomoe bench" in err
    other = start(spec, folder, "--workers", "2", "--json")
    out, err = other.communicate(timeout=300)
    assert other.returncode == 0, err
    found = json.loads(out)
    assert [run["state"] for run in found["runs"]] == ["done"] * 4
    assert [row["finished"] for row in found["rows"]] == [2, 2, 2]


def _ended(plan):
    return any(state_of(plan, run) == "done" for run in plan.runs)
