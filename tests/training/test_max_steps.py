"""``trainer.max_steps``: a run of so many updates, whatever an epoch has."""

from __future__ import annotations

import csv

import pytest
import torch

from geomoe.checkpoint import load_checkpoint, read
from geomoe.config.rules import find_faults
from geomoe.training import fit
from geomoe.training.progress import TrainingProgress


def rows(result):
    with (result.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def weights(result):
    return load_checkpoint(result.last).state_dict


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erm", "fish"])  # Lightning's loop, and a stepper
def test_the_last_epoch_ends_early_and_is_validated(tiny, name):
    result = fit(tiny(name, max_steps=5, max_epochs=1), quiet=True, limit_batches=3)
    found = rows(result)
    assert [(row["epoch"], row["step"]) for row in found] == [("0", "3"), ("1", "5")]
    assert all(row["val_acc"] for row in found)
    if name == "erm":  # Lightning's schedule has advanced: the cosine ends with the last update
        assert float(found[-1]["lr"]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_steps_that_fill_epochs_are_those_of_the_epochs(tiny):
    by_steps = fit(tiny("erm", max_steps=6, run_name="steps"), quiet=True, limit_batches=3)
    by_epochs = fit(tiny("erm", max_epochs=2, run_name="epochs"), quiet=True, limit_batches=3)
    one, other = weights(by_steps), weights(by_epochs)
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.slow
def test_accumulated_batches_are_one_update(tiny):
    result = fit(tiny("erm", max_steps=3, accumulate_grad_batches=2), quiet=True, limit_batches=4)
    assert [(row["epoch"], row["step"]) for row in rows(result)] == [("0", "2"), ("1", "3")]
    assert read(result.last)["global_step"] == 3


@pytest.mark.slow
def test_resume_within_the_last_epoch(tiny, tmp_path):
    """Stopped after the fourth of five updates, and gone on with: the bits of the run without a stop."""
    from lightning.pytorch.callbacks import Callback

    class Stop(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if module.now(batch_idx).step == 4:
                raise KeyboardInterrupt

    whole = fit(tiny("moge", max_steps=5, run_name="whole"), quiet=True, limit_batches=3)
    config = tiny("moge", max_steps=5, run_name="cut", checkpoint_every_n_steps=1)
    with pytest.raises(KeyboardInterrupt):
        fit(config, quiet=True, limit_batches=3, callbacks=[Stop()])
    cut = fit(config, quiet=True, limit_batches=3, resume=True)
    one, other = weights(whole), weights(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [row["step"] for row in rows(cut)] == ["3", "5"]


def test_a_dry_run_is_two_updates(tiny):
    assert [row["step"] for row in rows(fit(tiny("erm", max_steps=500), quiet=True, dry_run=True))] == ["2"]


@pytest.mark.slow
def test_progress_knows_the_end(tiny):
    seen = []

    class Watched(TrainingProgress):
        def _count(self, trainer, done=None):
            super()._count(trainer, done)
            seen.append(self._total(trainer))

    fit(tiny("erm", max_steps=5), quiet=True, limit_batches=3, callbacks=[Watched()])
    assert set(seen) == {5}


def test_negative_steps_are_refused(tiny):
    assert find_faults(tiny("erm", max_steps=-1)) == [
        "trainer.max_steps: must be at least 0 and at most 1,000,000,000,000; got -1"
    ]
