"""Options and result of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning.pytorch import Callback


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of a run in addition to its configuration; they do not change what full epochs compute.

    Args:
        resume: continue the run in the folder; the result equals that of an uninterrupted run.
        dry_run: try the run with two optimiser steps, validation, a checkpoint and its reload, in a folder
            that ends in ``-dry`` and may be overwritten.
        command: the command that started the run, as one line; stored in run.json.
        quiet: no progress on stderr.
        callbacks: further Lightning callbacks.
        limit_batches: limit of batches per training epoch and per validation; default: all.
    """

    resume: bool = False
    dry_run: bool = False
    command: Sequence[str] | str | None = None
    quiet: bool = False
    callbacks: Sequence[Callback] = ()
    limit_batches: int | None = None


class RunResult(NamedTuple):
    """The result of a run.

    Attributes:
        folder: the run's folder.
        best: checkpoint of the epoch that validation selected.
        last: checkpoint of the last epoch.
        metrics: row of the selected epoch in metrics.csv.
        stopped: when and why the run ended before its last epoch (``trainer.patience``); empty if it did not.
    """

    folder: Path
    best: Path
    last: Path
    metrics: dict[str, float]
    stopped: str = ""
