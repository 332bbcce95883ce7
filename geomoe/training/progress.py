"""Progress on stderr: a live bar on a terminal, one line for each epoch elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback
from rich.console import Console

from geomoe.support.progress import Progress

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from geomoe.support.progress import Count
    from geomoe.types import Batch


class TrainingProgress(Callback):
    """Epoch, steps, images/s, time left, and the newest validation metrics.

    Args:
        console: where to draw; default: stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._images = 0
        self._epoch = self._scores = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the bar, from the present position of the run."""
        self._images, self._scores = 0, ""
        # one line for each epoch, and none in between
        self._progress = Progress(
            self._say, self._line, parts=0, every=math.inf, console=self.console,
            quiet=not trainer.is_global_zero,
        )  # fmt: skip
        self._progress.start("training", _batches_done(trainer))
        self._count(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the batch; draw at most a few times a second."""
        self._images += len(batch.label) * trainer.world_size
        self._count(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch's metrics."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._scores = ", ".join(
            f"{name} {metrics[name]:.3f}"
            for name in ("val_acc", "val_worst_region_acc", "val_loss")
            if name in metrics
        )
        done = (trainer.current_epoch + 1) * _batches(trainer)
        self._count(trainer, min(done, self._total(trainer)))
        if self._progress is not None:
            self._progress.tell()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the terminal."""
        self._close()

    def _count(self, trainer: Trainer, done: int | None = None) -> None:
        self._epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if self._progress is not None:
            total = self._total(trainer)
            self._progress(_batches_done(trainer) if done is None else done, total, "training")

    @staticmethod
    def _total(trainer: Trainer) -> int:
        whole = _batches(trainer) * (trainer.max_epochs or 1)
        task: Any = trainer.lightning_module
        options = task.config.trainer
        return min(whole, options.max_steps * options.accumulate_grad_batches or whole)

    def _line(self, count: Count) -> str:
        speed = f"{self._images / max(count.seconds, 1e-9):.0f} images/s"
        if self.console.is_terminal:  # the bar has the time left
            words = [self._epoch, f"{count.done}/{count.total}", speed, self._scores]
            return ", ".join(word for word in words if word)
        return f"{self._epoch}: {self._scores}, {speed}, {count.left:.0f} s left"

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.close()


def _batches(trainer: Trainer) -> int:
    return int(trainer.num_training_batches)


def _batches_done(trainer: Trainer) -> int:
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return trainer.current_epoch * _batches(trainer) + progress.current.ready
