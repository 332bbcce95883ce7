"""Progress on stderr: a live bar on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from geomoe.types import Batch

REFRESH = 0.2  # seconds between updates of the bar


class TrainingProgress(Callback):
    """Epoch, steps, images/s, time left, and the newest validation metrics.

    Args:
        console: where to draw; default: stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._images = 0
        self._steps = 0
        self._start = self._drawn = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the bar, from where the run stands."""
        self._start, self._images, self._steps = time.monotonic(), 0, 0
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"), TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[scores]}"),
            console=self.console, refresh_per_second=4,
        )  # fmt: skip
        self._task = self._bar.add_task(
            _epoch(trainer), total=_batches(trainer) * (trainer.max_epochs or 1),
            completed=_batches_done(trainer), speed="", scores="",
        )  # fmt: skip
        self._bar.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count; draw a few times a second at most."""
        self._images += len(batch.label) * trainer.world_size
        self._steps += 1
        now = time.monotonic()
        if self._bar is not None and now - self._drawn > REFRESH:
            self._drawn = now
            self._bar.update(
                self._task, completed=_batches_done(trainer), description=_epoch(trainer), speed=self._speed()
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch's metrics."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        scores = ", ".join(
            f"{name} {metrics[name]:.3f}"
            for name in ("val_acc", "val_worst_region_acc", "val_loss")
            if name in metrics
        )
        if self._bar is not None:
            done = (trainer.current_epoch + 1) * _batches(trainer)
            self._bar.update(
                self._task, completed=done, description=_epoch(trainer), scores=scores, speed=self._speed()
            )
        elif trainer.is_global_zero:
            left = self._seconds_left(trainer)
            self.console.print(
                f"{_epoch(trainer)}: {scores}, {self._speed()}, {left:.0f} s left", soft_wrap=True
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _speed(self) -> str:
        return f"{self._images / max(time.monotonic() - self._start, 1e-9):.0f} images/s"

    def _seconds_left(self, trainer: Trainer) -> float:
        epochs = (trainer.max_epochs or 1) - trainer.current_epoch - 1
        return epochs * _batches(trainer) * (time.monotonic() - self._start) / max(self._steps, 1)


def _batches(trainer: Trainer) -> int:
    return int(trainer.num_training_batches)


def _batches_done(trainer: Trainer) -> int:
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return trainer.current_epoch * _batches(trainer) + progress.current.ready


def _epoch(trainer: Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
