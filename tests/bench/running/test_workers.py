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
from geomoe.bench.planning.plan import make_plan
from geomoe.bench.running.work import state_of
from geomoe.checkpoint import load_checkpoint
from tests import forked

pytestmark = pytest.mark.slow


@pytest.fixture
def start():
    """Start a bench in a process of its own."""
    started = []

    def run(spec, folder):
        started.append(forked.start(bench, spec, folder))
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.join()


def starts(plan, run):
    """How often a run was started, or gone on with."""
    return len(json.loads((plan.folder(run) / "run.json").read_text())["starts"])


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def weights(plan, run):
    return load_checkpoint(plan.folder(run) / "checkpoints/last.ckpt").state_dict


@pytest.mark.long
def test_two_processes_share_the_runs_and_a_killed_one_is_followed(small, tmp_path, start):
    """One of two is killed in the middle of a run; the other takes it over, and nothing is done twice."""
    trainer = {**small["settings"]["trainer"], "checkpoint_every_n_steps": 8}
    settings = {**small["settings"], "trainer": trainer}
    spec = {**small, "algorithms": ["erm"], "seeds": 3, "budget": 40, "settings": settings}
    plan, alone = (make_plan(spec_of(spec), tmp_path / name) for name in ("shared", "alone"))
    first, second = start(spec, plan.output), start(spec, plan.output)

    def caught():
        """The run that the first process is in the middle of, while the second one works too."""
        claims = {
            path.stem: json.loads(path.read_text())["pid"] for path in (plan.output / "claims").glob("erm-*")
        }
        own = [run for run in plan.runs if claims.get(run.name) == first.pid]
        return (
            len(set(claims.values())) == 2
            and own
            and (plan.folder(own[0]) / "checkpoints/last.ckpt").exists()
        )

    until(lambda: _safely(caught))
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join(300)
    assert second.exitcode == 0
    assert all(state_of(plan, run) == "done" for run in plan.runs)
    assert sorted(starts(plan, run) for run in plan.runs) == [1, 1, 2]
    assert not list((plan.output / "claims").glob("erm-*"))
    assert bench(spec, alone.output).complete
    for run in plan.runs:
        one, other = weights(plan, run), weights(alone, run)
        assert all(torch.equal(one[name], other[name]) for name in one)


def _safely(condition):
    """Files of claims come and go while they are looked at."""
    try:
        return condition()
    except (FileNotFoundError, ValueError):
        return False


@pytest.mark.long
def test_worker_processes_of_the_command_are_stopped_with_it(small, tmp_path):
    """SIGTERM is passed on to both workers, what they trained is kept, and the next call goes on."""
    spec = {**small, "algorithms": ["erm"], "budget": 1000}
    file, folder = tmp_path / "spec.yaml", tmp_path / "bench"
    file.write_text(yaml.safe_dump(spec))
    plan = make_plan(spec_of(spec, str(file)), folder)
    command = [sys.executable, "-m", "geomoe", "bench", str(file), "--output", str(folder), "--workers", "2"]
    one = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        until(lambda: all((plan.folder(run) / "checkpoints/last.ckpt").exists() for run in plan.runs))
        one.terminate()
        _, err = one.communicate(timeout=120)
    finally:
        one.kill()
    assert one.returncode == 130, err
    assert "go on with: geomoe bench" in err
    assert [state_of(plan, run) for run in plan.runs] == ["begun", "begun"]
    assert not list((folder / "claims").glob("erm-*"))
    steps = [torch.load(plan.folder(run) / "checkpoints/last.ckpt")["global_step"] for run in plan.runs]
    assert all(0 < step < 1000 for step in steps)
