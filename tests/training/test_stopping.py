"""Early stopping: when a run ends, what it says, and that it resumes exactly."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from geomoe.checkpoint import read
from geomoe.training import fit, run_folder
from geomoe.training.stopping import Patience
from tests.training.test_resume import At, _same

BATCHES = 2


def last_epoch(scores, patience, delta, lower):
    """The epoch, counted from 1, after which to stop, in a plain loop; None: never."""
    best, waited = None, 0
    for number, score in enumerate(scores, 1):
        gain = math.inf if best is None else best - score if lower else score - best
        if not math.isnan(score) and gain > delta:
            best, waited = score, 0
        else:
            waited += 1
        if waited >= patience:
            return number
    return None


def ask(scores, select, patience, delta, resumed_at=None):
    """The same by the callback; its state may go through a checkpoint on the way."""
    callback = Patience(select, patience, delta)
    for number, score in enumerate(scores, 1):
        if number == resumed_at:
            again = Patience(select, patience, delta)
            again.load_state_dict(callback.state_dict())
            callback = again
        trainer = SimpleNamespace(
            state=SimpleNamespace(fn=None), sanity_checking=False, fast_dev_run=False, should_stop=False,
            callback_metrics={select: torch.tensor(score, dtype=torch.float64)}, current_epoch=number - 1,
            strategy=SimpleNamespace(reduce_boolean_decision=lambda stop, all: stop), world_size=1,
        )  # fmt: skip
        callback._run_early_stopping_check(trainer)
        if trainer.should_stop:
            assert callback.exhausted
            return number
    return None


SCORES = [
    [0.1, 0.2, 0.3, 0.3, 0.3, 0.3],
    [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56],
    [0.5, math.nan, 0.4, 0.6, 0.6, 0.1, 0.1, 0.1],
    [math.nan, math.nan, 0.4, 0.3],
    [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
]


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("delta", [0.0, 0.025])
@pytest.mark.parametrize("select", ["val_acc", "val_loss"])
def test_it_stops_where_a_plain_loop_does(scores, delta, select):
    for patience in (1, 2, 3):
        want = last_epoch(scores, patience, delta, select == "val_loss")
        assert ask(scores, select, patience, delta) == want
        assert ask(scores, select, patience, delta, resumed_at=3) == want


def test_a_run_that_does_not_end_early_says_nothing():
    callback = Patience("val_acc", 3, 0.0)
    assert callback.reason(2, 12) == ""
    callback.wait_count = 3
    assert callback.reason(12, 12) == ""  # it ended at its last epoch anyway


@pytest.mark.slow
@pytest.mark.parametrize("around", [(), pytest.param(("swad",), marks=pytest.mark.long)])
def test_a_run_stops_says_why_and_resumes_exactly(around, tiny, tmp_path, caplog):
    def configured(name):
        options = {"max_epochs": 6, "patience": 2, "min_delta": 2.0, "around": around}
        return replace(tiny("erm", output=tmp_path / name, **options), options={"swad": {"norm_batches": 2}})

    whole = fit(configured("whole"), quiet=True, limit_batches=BATCHES)
    lines = (whole.folder / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + 3, "the first epoch, and two without a gain of 2"
    said = "stopped after epoch 3 of 6: val_acc has not risen by more than 2 from 0"
    assert whole.stopped.startswith(said)
    assert whole.stopped.endswith(" for 2 epochs")
    assert whole.stopped in caplog.messages
    assert json.loads((whole.folder / "run.json").read_text())["stopped"] == whole.stopped
    scores = [float(line.split(",")[lines[0].split(",").index("val_acc")]) for line in lines[1:]]
    if around:
        best, last = (read(path)["state_dict"] for path in (whole.best, whole.last))
        weight = "algorithm.result.backbone.head.weight"
        assert not torch.equal(best[weight], last[weight]), "the averaged network was made at the end"
    else:
        assert whole.metrics["val_acc"] == max(scores), "the best epoch is kept, however small its gain"

    if around:
        return  # that SWAD resumes exactly is tested for whole runs

    config = configured("stopped")
    with pytest.raises(KeyboardInterrupt):
        fit(config, quiet=True, callbacks=[At(1, 0)], limit_batches=BATCHES)
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES)
    _same(whole.last, ended.last)
    _same(whole.best, ended.best)
    assert (ended.folder / "metrics.csv").read_text() == "\n".join([*lines, ""])

    run_folder(config).done.unlink()  # as if it had been killed after its last epoch
    again = fit(config, resume=True, quiet=True, limit_batches=BATCHES)
    _same(whole.last, again.last)
    _same(whole.best, again.best)
    assert again.stopped == whole.stopped
    assert (again.folder / "metrics.csv").read_text() == "\n".join([*lines, ""])
