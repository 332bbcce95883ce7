"""What is asked of a run, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning.pytorch import Callback


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What is asked of a run beside its configuration; whole epochs compute the same whatever it says.

    Args:
        resume: go on with the run in the folder; the result is the one it would have had unstopped.
        dry_run: two optimiser steps, validation, checkpoint, reload; in a folder that ends in
            ``-dry`` and may be overwritten.
        command: how the run was asked for, in words or as one line; kept in run.json.
        quiet: no progress on stderr.
        callbacks: further Lightning callbacks.
        limit_batches: batches of an epoch of training, and of validation; default: all.
    """

    resume: bool = False
    dry_run: bool = False
    command: Sequence[str] | str | None = None
    quiet: bool = False
    callbacks: Sequence[Callback] = ()
    limit_batches: int | None = None


class RunResult(NamedTuple):
    """What a run left.

    Attributes:
        folder: the run's folder.
        best: checkpoint of the epoch that validation selected.
        last: checkpoint of the last epoch.
        metrics: the selected epoch's row of metrics.csv.
    """

    folder: Path
    best: Path
    last: Path
    metrics: dict[str, float]
