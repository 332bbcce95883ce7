"""The Lightning task: passes batches to a training method, sums metrics, and builds the optimisers."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from timm.optim import create_optimizer_v2
from torch.optim.lr_scheduler import LambdaLR

from geomoe import checkpoint
from geomoe.algorithms.contract import Now
from geomoe.datasets.module import BATCH
from geomoe.errors import ConfigError
from geomoe.support.ranks import world
from geomoe.training.divergence import Divergence
from geomoe.training.idle import IdleTerms
from geomoe.training.optimizers import LearningRate, parameter_groups
from geomoe.training.probe import Probe
from geomoe.training.stepper import LightningStepper
from geomoe.training.sums import EpochSums, dead_experts
from geomoe.training.validation import RegionMetrics
from geomoe.types import LossTerms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from geomoe.algorithms import Method
    from geomoe.config import RunConfig
    from geomoe.training.resumable import ResumableData
    from geomoe.types import Batch

log = logging.getLogger(__name__)

FUSED = ("adam", "adamw")


class TrainingTask(LightningModule):
    """Trains one method.

    Methods that only define losses use Lightning's automatic optimisation; methods with a custom update or
    several learners use a :class:`~geomoe.training.stepper.LightningStepper`.

    Args:
        algorithm: the method; the optimisers see the parameters of its learners.
        config: the run's configuration, stored in checkpoints.
        info: plain facts about the data, stored in checkpoints; ``domains`` names the regions.
    """

    def __init__(self, algorithm: Method, config: RunConfig, info: Mapping[str, Any]) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.automatic_optimization = algorithm.automatic
        if config.trainer.accumulate_grad_batches > 1 and not algorithm.accumulates:
            what = f"trainer.accumulate_grad_batches: {config.algorithm} makes an update of every batch"
            raise ConfigError(f"{what}; set it to 1; got {config.trainer.accumulate_grad_batches}")
        self.config = config
        self.info = dict(info)
        self.val_metrics = RegionMetrics(
            self.info["domains"], self.info.get("uncounted", ()), num_classes=len(self.info["classes"])
        )
        self.sums, self.idle = EpochSums(), IdleTerms(algorithm)
        self.divergence = Divergence(config.data.batch_size or BATCH)
        self.probe = Probe(algorithm, config.optimizer.probe_epochs)
        self.blocks = sorted(algorithm.answering().blocks)
        self._places: dict[str, Tensor] = {}
        self._counted: int | None = None
        self._warned: set[tuple[int, int]] = set()
        self._at_start: tuple[tuple[bool, ...], ...] = ()  # slots that held an expert when the epoch began

    # --- location features, once for each data set ----------------------------------------------

    def on_fit_start(self) -> None:
        """Count the epochs, and compute the fixed location features of every sample."""
        if self.config.trainer.max_steps:
            self.trainer.fit_loop.max_epochs = math.ceil(self._total_steps() / self._updates_per_epoch())
        if self.trainer.is_global_zero and not isinstance(self.trainer.limit_train_batches, int):  # a trial
            self.idle.tell_unreached(self._total_steps())
        encoder = self.algorithm.answering().encoder
        if encoder is None or not encoder.frozen_features:
            return
        data = self._data
        for split, dataset in (("train", data.train_dataset), ("val", data.val_dataset)):
            self._places[split] = encoder.feature_table(dataset.place)

    @property
    def _data(self) -> ResumableData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def with_places(self, batch: Batch, split: str) -> Batch:
        """Return the batch with the fixed location features of its samples."""
        table = self._places.get(split)
        if table is None:
            return batch
        return batch._replace(place=batch.place._replace(features=table[batch.index]))

    # --- steps ----------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Compute the method's loss or run its custom update; sum the loss terms on the device."""
        batch, now = self.with_places(batch, "train"), self.now(batch_idx)
        if self.divergence.due(now.step):
            self.refuse_lost()
        self.probe.begin(now.epoch)
        if self.automatic_optimization:
            answer = self.algorithm.losses(batch, now)
        else:
            self.stepper.begin(now, last=self.ends_update(batch_idx))
            answer = self.algorithm.update(batch, now, self.stepper)
        total = answer.total
        named = {**answer.terms, **answer.notes}
        self.sums.update(LossTerms(total, named), answer.output.routings, len(batch.label))
        self.divergence.watch(total, batch.index, now)
        if self.automatic_optimization:
            return total
        if self.ends_update(batch_idx):
            self.algorithm.stepped(now._replace(step=now.step + 1))
        return None

    def refuse_lost(self) -> None:
        """Stop a training that has diverged, before its state is saved; every process has to call this.

        Raises:
            DivergedError: the loss of an update since the last call was NaN or infinite; it names the update
                and the samples of its batch.
        """
        self.divergence.refuse(self._data.train_dataset)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's hook
        """Run Lightning's backward pass, but not through frozen parts of the backbone."""
        if self.probe.lasts(self.current_epoch) and self.automatic_optimization and world() == 1:
            kwargs["inputs"] = self.probe.moving(self.algorithm.parameters(), self.current_epoch)
        super().backward(loss, *args, **kwargs)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Drop the gradients of frozen parameters, before gradients are clipped."""
        self.probe.clear(self.current_epoch)

    def optimizer_step(self, epoch: int, batch_idx: int, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Run Lightning's step, then notify the method that its weights have changed."""
        super().optimizer_step(epoch, batch_idx, *args, **kwargs)
        now = self.now(batch_idx)
        self.algorithm.stepped(now._replace(step=now.step + 1))

    def now(self, batch_idx: int) -> Now:
        """Return the position of training at a batch of this epoch."""
        done = self.current_epoch * self._updates_per_epoch() + batch_idx // self._accumulated
        return Now(done, self._total_steps(), self.current_epoch)

    def updates_done(self) -> int:
        """Return the number of updates so far, at the end of an epoch."""
        return min((self.current_epoch + 1) * self._updates_per_epoch(), self._total_steps())

    def ends_update(self, batch_idx: int) -> bool:
        """Return whether a batch is the last of its update."""
        return (batch_idx + 1) % self._accumulated == 0 or batch_idx + 1 == self._batches()

    @property
    def _accumulated(self) -> int:
        return self.config.trainer.accumulate_grad_batches

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """End the last epoch after the last update; Lightning then validates as after a full epoch."""
        if self.config.trainer.max_steps and self.ends_update(batch_idx):
            self.trainer.should_stop = self.now(batch_idx).step + 1 >= self._total_steps()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the source regions' validation part."""
        output = self.algorithm(self.with_places(batch, "val"))
        self.val_metrics.update(output.logits, batch.label, batch.domain)

    def on_validation_epoch_end(self) -> None:
        """Report the validation metrics, by region."""
        scores = self.val_metrics.compute()
        self.val_metrics.reset()
        self.algorithm.validated(scores, self.now(self._batches()))
        self._report({f"val_{name}": value for name, value in scores.items()})

    def on_train_epoch_end(self) -> None:
        """Report the mean loss terms and the experts' loads; warn when experts are dead."""
        self.refuse_lost()
        means = self.sums.results(self._added_up(), self.blocks)
        means["lr"] = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        self.sums.reset()
        self._report(means)
        if self.trainer.is_global_zero:
            self._warn(means)
            self.idle.tell(means, self.current_epoch)

    def _report(self, metrics: Mapping[str, float]) -> None:
        # The values are already equal in every process; sync_dist avoids a warning of Lightning.
        self.log_dict(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in metrics.items()},
            sync_dist=self.trainer.world_size > 1,
        )

    def _added_up(self) -> list[Tensor]:
        if self.trainer.world_size == 1:
            return self.sums.tensors()
        return [self.trainer.strategy.reduce(value.clone(), reduce_op="sum") for value in self.sums.tensors()]

    def on_train_epoch_start(self) -> None:
        """Record which experts exist; one that is added later gets only a part of the epoch's load."""
        self._at_start = self.algorithm.answering().alive

    def _warn(self, means: Mapping[str, float]) -> None:
        now = self.algorithm.answering().alive
        for block, before, after in zip(self.blocks, self._at_start or now, now, strict=True):
            there = [one and other for one, other in zip(before, after, strict=True)]
            dead = dead_experts(means, block, there)
            new = [expert for expert in dead if (block, expert) not in self._warned]
            self._warned |= {(block, expert) for expert in new}
            if new:
                who = f"expert {new[0]} gets" if len(new) == 1 else f"experts {', '.join(map(str, new))} get"
                log.warning(
                    "block %d: %s less than 5%% of a fair share of the samples (epoch %d); "
                    "raise the weight of the load-balancing term if it stays so",
                    block, who, self.current_epoch,
                )  # fmt: skip

    # --- optimiser ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning has eight types for it
        """Create a timm optimiser for each learner, with a schedule that advances every step."""
        factor = LearningRate(self.config.optimizer, self._total_steps())
        made = [self._optimizer(module) for module in self.algorithm.learners().values()]
        if self.automatic_optimization:
            (optimizer,) = made
            schedule = LambdaLR(optimizer, factor)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        for optimizer in made:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
                group["lr"] *= factor(0)
        return made

    def on_train_start(self) -> None:
        """Create the stepper of methods with a custom update."""
        if not self.automatic_optimization:
            factor = LearningRate(self.config.optimizer, self._total_steps())
            learners = self.algorithm.learners()
            self.stepper = LightningStepper(self, learners, self.config.trainer, factor, self.probe)

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Create an optimiser without weight decay on biases and norms."""
        options = self.config.optimizer
        rates = options.lr, options.layer_decay
        groups = parameter_groups(module, options.weight_decay, *rates, self.algorithm)
        extra: dict[str, Any] = {"fused": True} if self._can_fuse() else {}
        try:
            return create_optimizer_v2(groups, opt=options.name, lr=options.lr, **extra)
        except ValueError as error:
            msg = f"optimizer.name: timm cannot make an optimiser {options.name!r}: {error}"
            raise ConfigError(msg) from error

    def _can_fuse(self) -> bool:
        """Return whether torch's fused Adam can be used: 2 to 3 times faster, also on a CPU."""
        options, kind = self.config.trainer, self.trainer.strategy.root_device.type
        clips_scaled = options.gradient_clip and "mixed" in options.precision  # Lightning refuses this pair
        return self.config.optimizer.name in FUSED and kind in ("cpu", "cuda") and not clips_scaled

    def _total_steps(self) -> int:
        """Return the number of optimiser steps of the whole run.

        ``trainer.estimated_stepping_batches`` would start the loaders before a resumed run knows its
        epoch.
        """
        given = self.config.trainer.max_steps
        return given or self._updates_per_epoch() * int(self.trainer.max_epochs or 1)

    def _updates_per_epoch(self) -> int:
        return math.ceil(self._batches() / self._accumulated)

    def _batches(self) -> int:
        """Return the batches of an epoch; computed once, because it creates a loader."""
        if self._counted is None:
            limit = self.trainer.limit_train_batches
            whole = self._data.batches_per_epoch()
            self._counted = min(whole, limit) if isinstance(limit, int) else whole
        return self._counted

    # --- checkpoints ----------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Add what is needed to rebuild the model, and the sums of the current epoch."""
        network = checkpoint.prefix_of(self.algorithm, self.algorithm.answering())
        checkpoint_[checkpoint.KEY] = checkpoint.payload(self.config, self.info, network)
        checkpoint_["epoch_sums"] = self.sums.state(self._added_up())

    def on_load_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Restore the sums of the current epoch; the first process holds those of all processes."""
        if self.global_rank == 0:
            self.sums.load(checkpoint_["epoch_sums"], self.device)
