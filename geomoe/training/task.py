"""The Lightning task: hands batches to an algorithm, sums what is reported, builds the optimiser."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from torch.optim.lr_scheduler import LambdaLR

from geomoe import checkpoint
from geomoe.errors import ConfigError
from geomoe.training.sums import EpochSums, dead_experts
from geomoe.training.validation import RegionMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from geomoe.algorithms import Algorithm
    from geomoe.config import OptimizerConfig, RunConfig
    from geomoe.training.resumable import ResumableData
    from geomoe.types import Batch

log = logging.getLogger(__name__)

NO_DECAY = ("*codebook", "*temperature", "*log_temperature")  # directions and scales, like norms
FUSED = ("adam", "adamw")


class TrainingTask(LightningModule):
    """Trains one algorithm.

    Args:
        algorithm: what is trained; the optimiser sees its parameters.
        config: the run's configuration, stored in checkpoints.
        info: plain facts on the data, stored in checkpoints; ``domains`` names the regions.
    """

    def __init__(self, algorithm: Algorithm, config: RunConfig, info: Mapping[str, Any]) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.config = config
        self.info = dict(info)
        self.val_metrics = RegionMetrics(
            self.info["domains"], self.info.get("uncounted", ()), num_classes=len(self.info["classes"])
        )
        self.sums = EpochSums()
        self.blocks = sorted(config.model.moge_blocks) if config.algorithm == "moge" else []
        self._places: dict[str, Tensor] = {}
        self._warned: set[tuple[int, int]] = set()

    # --- location features, once for each data set ----------------------------------------------

    def on_fit_start(self) -> None:
        """Compute the fixed location features of every training and validation sample."""
        encoder = self.algorithm.model.encoder
        if encoder is None or not encoder.frozen_features:
            return
        data = self._data
        for split, dataset in (("train", data.train_dataset), ("val", data.val_dataset)):
            self._places[split] = encoder.feature_table(dataset.place)

    @property
    def _data(self) -> ResumableData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _with_places(self, batch: Batch, split: str) -> Batch:
        table = self._places.get(split)
        if table is None:
            return batch
        return batch._replace(place=batch.place._replace(features=table[batch.index]))

    # --- steps ----------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The algorithm's loss; its parts are added up on the device."""
        output, terms = self.algorithm.training_loss(self._with_places(batch, "train"))
        self.sums.update(terms, output.routings, len(batch.label))
        return terms.total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the source regions' validation part."""
        output = self.algorithm(self._with_places(batch, "val"))
        self.val_metrics.update(output.logits, batch.label, batch.domain)

    def on_validation_epoch_end(self) -> None:
        """Report the validation metrics, by region."""
        metrics = {f"val_{name}": value for name, value in self.val_metrics.compute().items()}
        self.val_metrics.reset()
        self._report(metrics)

    def on_train_epoch_end(self) -> None:
        """Report the mean loss terms and the experts' loads; warn when experts are dead."""
        means = self.sums.results(self._added_up(), self.blocks)
        means["lr"] = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        self.sums.reset()
        self._report(means)
        if self.trainer.is_global_zero:
            self._warn(means)

    def _report(self, metrics: Mapping[str, float]) -> None:
        # the numbers are the same in every process by now; sync_dist keeps Lightning from doubting it
        self.log_dict(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in metrics.items()},
            sync_dist=self.trainer.world_size > 1,
        )

    def _added_up(self) -> list[Tensor]:
        if self.trainer.world_size == 1:
            return self.sums.tensors()
        return [self.trainer.strategy.reduce(value.clone(), reduce_op="sum") for value in self.sums.tensors()]

    def _warn(self, means: Mapping[str, float]) -> None:
        if not math.isfinite(means.get("train_loss", 0.0)):
            advice = "lower --optimizer.lr, or set --trainer.gradient_clip 1.0"
            log.warning(
                "the training loss is %s (epoch %d); %s", means["train_loss"], self.current_epoch, advice
            )
        for block in self.blocks:
            new = [expert for expert in dead_experts(means, block) if (block, expert) not in self._warned]
            self._warned |= {(block, expert) for expert in new}
            if new:
                log.warning(
                    "block %d: expert %s gets less than 5%% of a fair share of the samples (epoch %d); "
                    "raise --loss.aux if it stays so",
                    block, ", ".join(map(str, new)), self.current_epoch,
                )  # fmt: skip

    # --- optimiser ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning has eight types for it
        """An optimiser of timm by name, without weight decay on biases and norms; one schedule a step."""
        options = self.config.optimizer
        groups = parameter_groups(self.algorithm, options.weight_decay)
        extra: dict[str, Any] = {"fused": True} if self._can_fuse() else {}
        try:
            optimizer = create_optimizer_v2(groups, opt=options.name, lr=options.lr, **extra)
        except ValueError as error:
            msg = f"optimizer.name: timm cannot make an optimiser {options.name!r}: {error}"
            raise ConfigError(msg) from error
        schedule = LambdaLR(optimizer, LearningRate(options, self._total_steps()))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _can_fuse(self) -> bool:
        """Whether torch's one-kernel Adam can be used: 2 to 3 times the plain one's speed, also on a CPU."""
        options, kind = self.config.trainer, self.trainer.strategy.root_device.type
        clips_scaled = options.gradient_clip and "mixed" in options.precision  # Lightning refuses this pair
        return self.config.optimizer.name in FUSED and kind in ("cpu", "cuda") and not clips_scaled

    def _total_steps(self) -> int:
        """Optimiser steps of the whole run.

        Not ``trainer.estimated_stepping_batches``: that starts the loaders before a resumed run
        knows its epoch.
        """
        trainer = self.trainer
        batches, limit = self._data.batches_per_epoch(), trainer.limit_train_batches
        if isinstance(limit, int):
            batches = min(batches, limit)
        return math.ceil(batches / trainer.accumulate_grad_batches) * int(trainer.max_epochs or 1)

    # --- checkpoints ----------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Add what the model needs to be rebuilt alone, and this epoch's sums so far."""
        checkpoint_[checkpoint.KEY] = checkpoint.payload(self.config, self.info)
        checkpoint_["epoch_sums"] = self.sums.state(self._added_up())

    def on_load_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Go on with this epoch's sums; the first process carries those of all."""
        if self.global_rank == 0:
            self.sums.load(checkpoint_["epoch_sums"], self.device)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups; biases, norms, codebooks and positions get no weight decay."""
    keep = list(NO_DECAY)
    for prefix, part in module.named_modules():
        listed = getattr(part, "no_weight_decay", None)
        if callable(listed):
            keep += [f"{prefix}.{name}" if prefix else name for name in listed()]
    return param_groups_weight_decay(module, weight_decay, no_weight_decay_list=keep)


class LearningRate:
    """Factor on the learning rate: linear warm-up, then a half cosine to zero, or constant.

    Args:
        options: warmup (share of the steps) and schedule.
        total: optimiser steps of the whole run.
    """

    def __init__(self, options: OptimizerConfig, total: int) -> None:
        self.total = max(total, 1)
        self.warmup = round(options.warmup * self.total)
        self.schedule: str = options.schedule

    def __call__(self, step: int) -> float:
        """Factor for optimiser step ``step``, counted from 0; never 0 before the end."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.schedule == "constant":
            return 1.0
        progress = (step - self.warmup) / max(self.total - self.warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
