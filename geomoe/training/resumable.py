"""Exact resume: a data module that can start at any batch, and a seed for each step."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from geomoe.support.seeds import mixed_seed


class ResumableData(LightningDataModule):
    """Wraps a data module; its state holds the next batch.

    Lightning counts the steps of a resumed run, but does not tell the sampler where to start, and tells it
    the epoch only after the worker processes have started. All randomness of a step is a function of (seed,
    epoch, batch, rank) only.

    Args:
        inner: a data module with ``train_dataset`` and ``val_dataset``, whose training loader's sampler
            has ``set_epoch``, ``resume_at``, ``state_dict`` and ``load_state_dict``
            (:class:`geomoe.datasets.EpochSampler`).
        seed: seed of all randomness in a step: augmentation, dropout, noise.
    """

    def __init__(self, inner: Any, seed: int) -> None:  # noqa: ANN401 - a data module of any table
        super().__init__()
        self.inner, self.seed = inner, seed
        self._start: dict[str, Any] | None = None

    def setup(self, stage: str) -> None:
        """Open the data sets."""
        self.inner.trainer = self.trainer
        self.inner.setup(stage)
        self.train_dataset, self.val_dataset = self.inner.train_dataset, self.inner.val_dataset

    def train_dataloader(self) -> Any:  # noqa: ANN401 - whatever loader the data module has
        """Return the training loader, positioned at the next batch of the run."""
        loader = self.inner.train_dataloader()
        if self._start is not None:
            start, self._start = self._start, None
            loader.sampler.load_state_dict(start["sampler"])
            loader.sampler.set_epoch(start["epoch"])
            loader.sampler.resume_at(start["batch"])
        return loader

    def batches_per_epoch(self) -> int:
        """Return the number of training batches of this process in a full epoch."""
        return len(self.inner.train_dataloader())

    def val_dataloader(self) -> Any:  # noqa: ANN401 - whatever loader the data module has
        """The validation loader."""
        return self.inner.val_dataloader()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Seed the step before augmentation, which is the first to draw random numbers."""
        trainer = self.trainer
        if trainer is not None and trainer.training:
            batch_number = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            seed = mixed_seed(self.seed, trainer.current_epoch, batch_number, trainer.global_rank)
            # not torch.manual_seed: that formats a stack trace for each kind of device that is not in use
            torch.default_generator.manual_seed(seed)
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.manual_seed(seed)
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Normalise and augment on the device."""
        return self.inner.on_after_batch_transfer(batch, dataloader_idx)

    def state_dict(self) -> dict[str, Any]:
        """Return the next epoch and batch, and the parameters of the sample order."""
        loop = self.trainer.fit_loop  # type: ignore[union-attr]
        epochs: Any = loop.epoch_progress.current
        between = epochs.ready == epochs.processed
        return {
            "epoch": epochs.processed,
            "batch": 0 if between else loop.epoch_loop.batch_progress.current.ready,
            "sampler": self.trainer.train_dataloader.sampler.state_dict(),  # type: ignore[union-attr]
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position at which the next training loader starts."""
        self._start = state_dict
