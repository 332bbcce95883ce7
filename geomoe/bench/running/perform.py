"""Perform one run of a bench: train like ``geomoe train``, judge like ``geomoe evaluate``, measure costs."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch import Callback

from geomoe.bench.planning.spec import SELECTED_BY
from geomoe.bench.running import counts
from geomoe.bench.running.cost import CostMeter, answer_flops, parameters
from geomoe.bench.running.run_values import (
    FAILED,
    FILE,
    REPORT,
    Blocks,
    Cost,
    Done,
    read_done,
    scores_of,
    write_value,
)
from geomoe.checkpoint import read
from geomoe.errors import DataError
from geomoe.evaluation.run import evaluate_fully
from geomoe.support.bounded import read_json
from geomoe.support.files import whole_file
from geomoe.training import fit, run_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.bench.planning.spec import Spec
    from geomoe.config import RunConfig
    from geomoe.config.keys import Setting
    from geomoe.evaluation.run import Evaluation
    from geomoe.inference import Predictions
    from geomoe.support.claims import Claim
    from geomoe.training import RunFolder

log = logging.getLogger(__name__)
COST = "cost.json"


class TakenOver(Exception):
    """Another process has taken over the run."""


class _StopWhenLost(Callback):
    """Stops the training when another process has taken the run over."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim

    def on_train_batch_start(self, *args: Any) -> None:  # noqa: ANN401 - Lightning's
        """Stop the run if another process has taken over its claim."""
        if self.claim.lost.is_set():
            raise TakenOver


def perform(
    config: RunConfig, spec: Spec, drawn: Sequence[Setting], claim: Claim, command: Sequence[str]
) -> None:
    """Train one run, or resume it, and judge it.

    Args:
        config: its configuration.
        spec: the spec, for the selection rule and the number of resamples.
        drawn: settings that its trial changed; written to ``bench.json``.
        claim: this process's claim on the run.
        command: the command, stored in ``run.json``.

    Raises:
        TakenOver: another process has taken over the run.
        GeomoeError: an error of :func:`geomoe.training.fit` or :func:`geomoe.evaluation.evaluate`.
    """
    folder = run_folder(config)
    (folder.path / FAILED).unlink(missing_ok=True)
    if not folder.done.exists():
        _train(config, folder, claim, command)
    if read_done(folder.path) is None:
        _judge(config, spec, drawn, folder)


def _train(config: RunConfig, folder: RunFolder, claim: Claim, command: Sequence[str]) -> None:
    meter = CostMeter(config.trainer.max_steps, counted=0 if config.trainer.compile else None)
    going_on = (folder.path / "config.yaml").exists()
    start, core = time.perf_counter(), time.process_time()
    fit(config, resume=going_on, quiet=True, command=command, callbacks=[meter, _StopWhenLost(claim)])
    cost = meter.cost()
    facts = read_json(folder.path / "run.json")
    values = {
        "step_seconds": cost.step_seconds,
        "timed": cost.timed,
        "step_flops": cost.step_flops,
        "fit_seconds": time.perf_counter() - start,
        "cpu_seconds": None if going_on else time.process_time() - core,
        "device": facts["starts"][-1]["device"],
    }
    _write(folder.path / COST, values)


def _judge(config: RunConfig, spec: Spec, drawn: Sequence[Setting], folder: RunFolder) -> None:
    start = time.perf_counter()
    last = spec.selection == "last"
    checkpoint = folder.last if last and not _made_at_end(folder) else folder.best
    found = evaluate_fully(checkpoint, split="test", bootstrap=spec.bootstrap, diagnostics=False)
    _write(folder.path / REPORT, found.report.as_dict())
    row = _selected(checkpoint, last=last)
    metric = SELECTED_BY[spec.selection]
    held_out = config.data.held_out
    rows = _scored(found, held_out)
    judged = {choice: one.take(rows) for choice, one in found.predictions.items()}
    table = counts.count(judged, found.predictor.domains, found.report.uncounted)
    counts.write_counts(folder.path, table)
    done = Done(
        selected_by=f"{metric}, {'last epoch' if last else 'best epoch'}",
        validation=float(row[metric]),
        epoch=int(row["epoch"]),
        drawn={one.key: one.value for one in drawn},
        data_hash=found.report.data_hash,
        split=found.report.split,
        held_out=held_out,
        scores={choice: scores_of(scores) for choice, scores in found.report.scores.items()},
        blocks=_blocks(judged),
        cost=_cost(found, _trained(folder), time.perf_counter() - start),
    )
    write_value(folder.path / FILE, done)


def _made_at_end(folder: RunFolder) -> bool:
    """Whether the method made its network after the last update (SWAD), so that it is in best.ckpt."""
    first, second = (read(path)["callbacks"] for path in (folder.best, folder.last))
    return _saving(first)["best"] != _saving(second)["best"]


def _selected(checkpoint: Path, *, last: bool) -> dict[str, float]:
    """The row of metrics.csv for the epoch of a checkpoint."""
    state = _saving(read(checkpoint)["callbacks"])
    return state["rows"][-1] if last else state["best"]


def _saving(callbacks: dict[str, Any]) -> dict[str, Any]:
    for state in callbacks.values():
        if isinstance(state, dict) and {"rows", "best"} <= state.keys():
            return state
    raise DataError("a checkpoint of the run does not say by which epoch it was selected; train again")


def _scored(found: Evaluation, held_out: str | None) -> NDArray[np.bool_]:
    """The samples of the main score: those of the held-out domain, if there is one, else all."""
    domain = next(iter(found.predictions.values())).domain
    if held_out is None:
        return np.ones(len(domain), dtype=bool)
    apart = domain == list(found.predictor.domains).index(held_out)
    if not apart.any():
        raise DataError(f"data.held_out: the test split has no sample of {held_out}; hold out another domain")
    return apart


def _blocks(judged: dict[str, Predictions]) -> Blocks:
    """The samples of the main score by block."""
    some = next(iter(judged.values()))
    names, which = np.unique(some.block, return_inverse=True)
    correct = {
        choice: tuple(np.bincount(which, one.correct, len(names)).astype(int).tolist())
        for choice, one in judged.items()
    }
    count = np.bincount(which, minlength=len(names))
    return Blocks(tuple(names.tolist()), tuple(count.tolist()), correct)


def _trained(folder: RunFolder) -> dict[str, Any]:
    """The cost of training; unknown for a run that was killed between training and judging."""
    path = folder.path / COST
    if path.exists():
        return read_json(path)
    unknown = dict.fromkeys(("step_seconds", "step_flops", "cpu_seconds"))
    return {**unknown, "timed": 0, "fit_seconds": 0.0, "device": "unknown"}


def _cost(found: Evaluation, trained: dict[str, Any], seconds: float) -> Cost:
    predictor = found.predictor
    return Cost(
        **trained,
        parameters=parameters(predictor.model),
        answer_flops={choice: answer_flops(predictor, _choice(choice)) for choice in found.predictions},
        judge_seconds=seconds,
    )


def _choice(name: str) -> str | int:
    return int(name) if name.isdecimal() else name


def _write(path: Path, value: dict[str, Any]) -> None:
    with whole_file(path, "make space, and start the bench again") as scratch:
        scratch.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
