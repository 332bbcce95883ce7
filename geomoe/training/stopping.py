"""Early stopping: a run ends when its selection score has not improved for some epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch.callbacks import EarlyStopping

from geomoe.support.text import counted

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class Patience(EarlyStopping):
    """Lightning's early stopping on the score that selects the best epoch.

    A score that is NaN is no improvement. Lightning saves the count in checkpoints, but a resumed run that
    was killed after its last epoch and before its end would train for more epochs. This class prevents that.

    Args:
        select: validation metric.
        patience: epochs without improvement after which the run ends.
        min_delta: an improvement is a change by more than this.
    """

    def __init__(self, select: str, patience: int, min_delta: float) -> None:
        super().__init__(
            select,
            min_delta=min_delta,
            patience=patience,
            mode="min" if select == "val_loss" else "max",
            check_finite=False,
            check_on_train_epoch_end=True,
        )

    @property
    def exhausted(self) -> bool:
        """Whether the run has ended, or is to end."""
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a run that was resumed after its last epoch."""
        if self.exhausted:
            trainer.should_stop = True

    def reason(self, epochs: int, planned: int) -> str:
        """When and why the run has ended, in one sentence; empty if it has not ended early."""
        if not self.exhausted or epochs >= planned:
            return ""
        change = "fallen" if self.mode == "min" else "risen"
        return (
            f"stopped after epoch {epochs} of {planned}: {self.monitor} has not {change} by more than "
            f"{abs(self.min_delta):g} from {float(self.best_score):.4g} for {counted(self.patience, 'epoch')}"
        )
