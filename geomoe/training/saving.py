"""Write checkpoints and ``metrics.csv`` so that a run killed at any time can resume exactly."""

from __future__ import annotations

import csv
import io
import logging
import math
import shutil
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from geomoe import checkpoint
from geomoe.support.files import whole_file
from geomoe.training.runfolder import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lightning.pytorch import LightningModule, Trainer

    from geomoe.training.runfolder import RunFolder
    from geomoe.training.task import TrainingTask

log = logging.getLogger(__name__)


class Stopped(BaseException):
    """The run was stopped on request; its state is in last.ckpt."""


class CheckpointIO(TorchCheckpointIO):
    """Lightning's file access: atomic writes, and reads that never execute code from a file."""

    def save_checkpoint(  # type: ignore[override]
        self, checkpoint_: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write to a temporary file, then rename it."""
        checkpoint.write_atomically(checkpoint_, path)

    def load_checkpoint(  # type: ignore[override]
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read only tensors and plain values."""
        return checkpoint.read(path)


class StopRequest:
    """Records Ctrl-C or SIGTERM, so that the current step is finished and saved.

    A second Ctrl-C stops immediately.
    """

    def __init__(self) -> None:
        self.came = False

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Handle both signals, and restore the previous handlers at the end."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        try:
            yield
        finally:
            self._set({number: handler or signal.SIG_DFL for number, handler in before.items()})

    def install(self) -> None:
        """Install the handlers, also over Lightning's, which on SIGTERM would exit without saving."""
        self._set({signal.SIGINT: self._take, signal.SIGTERM: self._take})

    @staticmethod
    def _set(handlers: Mapping[signal.Signals, Any]) -> None:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: object) -> None:
        if self.came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.came = True


class Saving(Checkpoint):
    """Keeps last.ckpt (newest state), best.ckpt (selected epoch) and metrics.csv.

    Each checkpoint contains the rows of metrics.csv, so the file continues exactly at the resumed
    checkpoint. At the end of an epoch they are written in the order best, last, metrics.csv; if the run is
    killed between two of them, nothing is lost, because the epoch is repeated with the same result.

    Args:
        folder: the run's folder.
        select: validation metric; the first epoch with the best value is kept.
        every_n_steps: optimiser steps between saves of last.ckpt within an epoch; 0: never.
        table: whether to write metrics.csv.
        stop: stop request, checked after each step.
    """

    def __init__(
        self, folder: RunFolder, select: str, every_n_steps: int, table: bool, stop: StopRequest
    ) -> None:
        self.folder, self.select, self.every_n_steps = folder, select, every_n_steps
        self.table, self.stop = table, stop
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] = {}
        self.stopped = ""  # why the run has ended before its last epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain types."""
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.rows, self.best = list(state_dict["rows"]), dict(state_dict["best"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset metrics.csv to the state of the resumed checkpoint; start listening for stop requests."""
        self.stop.install()
        self.write_table(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: TrainingTask,  # type: ignore[override]
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Save within an epoch after every n optimiser steps, and on a stop request."""
        ended = trainer.fit_loop.epoch_loop._num_ready_batches_reached()
        if ended or not pl_module.ends_update(batch_idx):
            return  # accumulated gradients are not in a checkpoint; the end of an epoch saves anyway
        stop, done = self._asked_to_stop(trainer), pl_module.now(batch_idx).step + 1
        if stop or (self.every_n_steps and done % self.every_n_steps == 0):
            pl_module.refuse_lost()
            trainer.save_checkpoint(self.folder.last)
        if stop:
            raise Stopped

    def on_train_epoch_end(self, trainer: Trainer, pl_module: TrainingTask) -> None:  # type: ignore[override]
        """Record the epoch's metrics, save it if it is the best, and save the state."""
        values = {
            name: float(trainer.callback_metrics[name])
            for name in sorted(trainer.callback_metrics, key=_place)
        }
        row = {"epoch": trainer.current_epoch, "step": pl_module.updates_done(), **values}
        self.rows.append(row)
        better = self._is_better(row)
        if better:
            self.best = row
            trainer.save_checkpoint(self.folder.best)
            if trainer.is_global_zero:
                _same_file(self.folder.best, self.folder.last)
        else:
            trainer.save_checkpoint(self.folder.last)
        self.write_table(trainer)
        if self._asked_to_stop(trainer) and trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            raise Stopped

    def _is_better(self, row: dict[str, float]) -> bool:
        new, old = row[self.select], self.best.get(self.select)
        if old is None or math.isnan(old):
            return True
        return new < old if self.select == "val_loss" else new > old

    def _asked_to_stop(self, trainer: Trainer) -> bool:
        if trainer.world_size == 1:
            return self.stop.came
        return trainer.strategy.reduce_boolean_decision(self.stop.came, all=False)

    def write_table(self, trainer: Trainer) -> None:
        """Write the complete metrics.csv from the rows so far."""
        if not self.table or not trainer.is_global_zero or not self.rows:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder.metrics, text.getvalue())


def _place(name: str) -> tuple[bool, str]:
    return name.startswith("block"), name  # experts' loads last: there are many of them


def _same_file(source: Path, target: Path) -> None:
    """Give a checkpoint a second name by a hard link, or a copy if the file system has no hard links.

    Checkpoints are replaced and never modified, so writing one name does not affect the other.
    """
    with whole_file(target, "make space and go on with --resume") as scratch:
        scratch.unlink()
        try:
            scratch.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, scratch)
