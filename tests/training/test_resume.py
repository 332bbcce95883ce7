"""A run that is stopped at any moment and resumed ends exactly where an unstopped one does."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from geomoe.checkpoint import read
from geomoe.training import fit, run_folder
from tests import forked
from tests.training import run_worker

BATCHES = 4


def _in_a_process(config, **order):
    """Train in a process of its own; how it ended."""
    process = forked.start(run_worker.main, {"config": config.as_dict(), "limit": BATCHES, **order})
    process.join(300)
    return process.exitcode


def _same(a, b):
    one, other = read(a), read(b)
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][name], value, rtol=0, atol=0, equal_nan=True, msg=name)
    assert len(one["optimizer_states"]) == len(other["optimizer_states"])
    for first, second in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for number, state in first["state"].items():
            for name, value in state.items():
                assert torch.equal(value, second["state"][number][name])
    assert one["lr_schedulers"] == other["lr_schedulers"]
    assert (one["epoch"], one["global_step"]) == (other["epoch"], other["global_step"])


METHODS = {
    "moge": (),
    "groupdro": (),
    "dann": (),
    "fish": (),
    "gmoe": ("sagm",),
    "lfme": (),
    "irm": (),
    "erm": ("swad",),
}
#: tests/algorithms/test_family.py resumes every method, without a kill.
LONG = {"groupdro", "dann", "fish", "gmoe", "lfme", "irm", "erm"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in METHODS]
)
def test_killed_within_an_epoch_and_between_epochs(name, tiny, tmp_path):
    options = {"max_epochs": 3, "checkpoint_every_n_steps": 2, "around": METHODS[name]}
    quick = {"options": {"swad": {"norm_batches": 2}}} if name == "erm" else {}
    whole = replace(tiny(name, output=tmp_path / "whole", **options), **quick)
    whole = fit(whole, quiet=True, limit_batches=BATCHES)

    config = replace(tiny(name, output=tmp_path / "killed", **options), **quick)
    folder = run_folder(config)
    # Killed at batch 3 of the first epoch: last.ckpt is from within the epoch, after batch 2.
    killed = _in_a_process(config, kill={"epoch": 0, "batch": 3})
    assert killed == -signal.SIGKILL
    if name not in {"fish", "lfme"}:  # each of whose updates are several steps of optimisers
        assert read(folder.last)["global_step"] == 2
    assert not folder.metrics.exists()
    left = [folder.last.with_name(".last-k1ll3d.ckpt"), folder.path / ".run-k1ll3d.json"]
    for scratch in left:  # as if it had been killed while it wrote them
        scratch.write_bytes(b"half")
    # Killed again as the third epoch begins: last.ckpt is from the end of the second.
    killed = _in_a_process(config, kill={"epoch": 2, "batch": 0}, resume=True)
    assert killed == -signal.SIGKILL
    assert read(folder.last)["epoch"] == 1
    assert not any(scratch.exists() for scratch in left)
    assert not folder.done.exists()
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES)

    _same(whole.last, ended.last)
    _same(whole.best, ended.best)
    table = (whole.folder / "metrics.csv").read_text()
    assert (ended.folder / "metrics.csv").read_text() == table
    assert len(table.splitlines()) == 1 + 3
    assert ended.metrics == whole.metrics
    assert len(json.loads((ended.folder / "run.json").read_text())["starts"]) == 3


class Signal(Callback):
    def __init__(self, number, hook):
        self.number, self.hook = number, hook
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.steps += 1
        if self.hook == "batch" and batch_idx == 2 and trainer.current_epoch == 0:
            os.kill(os.getpid(), self.number)

    def on_validation_start(self, trainer, pl_module):
        if self.hook == "validation" and trainer.current_epoch == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "hook", "steps"),
    [(signal.SIGINT, "batch", 3), (signal.SIGTERM, "batch", 3), (signal.SIGTERM, "validation", 4)],
)
def test_a_signal_saves_and_stops(tiny, tmp_path, number, hook, steps):
    before = signal.getsignal(number)
    whole = fit(tiny("erm", output=tmp_path / "whole"), quiet=True, limit_batches=BATCHES)
    config = tiny("erm", output=tmp_path / "stopped")
    counter = Signal(number, hook)
    with pytest.raises(KeyboardInterrupt):
        fit(config, quiet=True, callbacks=[counter], limit_batches=BATCHES)
    assert counter.steps == steps, "the step under way is finished, no other begun"
    assert read(run_folder(config).last)["global_step"] == steps
    assert signal.getsignal(number) == before
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES)
    _same(whole.last, ended.last)
    assert (ended.folder / "metrics.csv").read_text() == (whole.folder / "metrics.csv").read_text()


@pytest.mark.slow
def test_stopped_with_gradients_under_way(tiny, tmp_path):
    """With accumulation, the state is saved after the optimiser step, not between its batches."""
    options = {"accumulate_grad_batches": 2}
    whole = fit(tiny("erm", output=tmp_path / "whole", **options), quiet=True, limit_batches=BATCHES + 3)
    config = tiny("erm", output=tmp_path / "stopped", **options)
    counter = Signal(signal.SIGINT, "batch")
    with pytest.raises(KeyboardInterrupt):
        fit(config, quiet=True, callbacks=[counter], limit_batches=BATCHES + 3)
    assert counter.steps == 4
    assert read(run_folder(config).last)["global_step"] == 2
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES + 3)
    _same(whole.last, ended.last)


@pytest.mark.slow
def test_with_loader_processes(tiny, tmp_path):
    """They read ahead, from the right batch of the right epoch."""
    options = {"max_epochs": 3, "data": {"num_workers": 1}}
    whole = fit(tiny("erm", output=tmp_path / "whole", **options), quiet=True, limit_batches=BATCHES)
    config = tiny("erm", output=tmp_path / "stopped", **options)
    for epoch, batch in ((0, 1), (1, 0)):
        with pytest.raises(KeyboardInterrupt):
            fit(config, resume=epoch > 0, quiet=True, callbacks=[At(epoch, batch)], limit_batches=BATCHES)
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES)
    _same(whole.last, ended.last)


class At(Callback):
    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_begins_again(tiny, tmp_path):
    config = tiny("erm")
    run_folder(config).start(config)
    assert fit(config, resume=True, quiet=True, limit_batches=2).last.exists()
