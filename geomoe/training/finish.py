"""Finish a run whose method builds the final network after the last update (SWAD)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from geomoe.support.seeds import mixed_seed
from geomoe.training.validation import RegionMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import Trainer

    from geomoe.training.resumable import ResumableData
    from geomoe.training.saving import Saving
    from geomoe.training.task import TrainingTask
    from geomoe.types import Batch

log = logging.getLogger(__name__)


def make_network(trainer: Trainer, task: TrainingTask, data: ResumableData, saving: Saving) -> None:
    """Let the method build its network, validate it, and save it as the best checkpoint of the run."""
    task.to(trainer.strategy.root_device)
    torch.manual_seed(mixed_seed(task.config.seed, task.config.trainer.max_epochs, 0, trainer.global_rank))
    told = task.algorithm.finished(_batches(task, data, train=True))
    if told and trainer.is_global_zero:
        log.warning("%s", told)
    with torch.no_grad():
        network = task.algorithm.answering().eval()
        metrics = RegionMetrics(
            task.info["domains"], task.info.get("uncounted", ()), num_classes=len(task.info["classes"])
        ).to(task.device)
        for batch in _batches(task, data, train=False):
            metrics.update(network(batch.image, batch.place).logits, batch.label, batch.domain)
    saving.best = saving.rows[-1] | {f"val_{name}": value for name, value in metrics.compute().items()}
    trainer.save_checkpoint(saving.folder.best)


def _batches(task: TrainingTask, data: ResumableData, *, train: bool) -> Iterator[Batch]:
    """Yield augmented training batches, or validation batches, on the device."""
    loader = data.inner.train_dataloader() if train else data.inner.val_dataloader()
    split = "train" if train else "val"
    for sample in loader:
        moved = task.transfer_batch_to_device(sample, task.device, 0)
        yield task.with_places(data.inner.to_batch(moved, train=train), split)
