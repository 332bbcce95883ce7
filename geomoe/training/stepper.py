"""The stepper: turns losses into weight updates, for methods with a custom update.

Only the stepper handles optimisers, schedules, precision, clipping, accumulation and ranks. Methods that only
define losses do not need it: Lightning's automatic optimisation does the same for them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.nn.utils import clip_grad_norm_

from geomoe.algorithms.contract import MAIN, Now
from geomoe.support.ranks import world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightning.pytorch import LightningModule
    from torch import Tensor, nn

    from geomoe.config import TrainerConfig
    from geomoe.training.probe import Probe


class LightningStepper:
    """A :class:`~geomoe.algorithms.contract.Stepper` over Lightning's manual optimisation.

    Args:
        task: the Lightning module; its trainer is running, and it has an optimiser for each learner.
        learners: name -> module.
        options: options of the trainer.
        factor: factor on the learning rate, as a function of the update number.
        probe: which parameters are frozen in the first epochs.
    """

    def __init__(
        self,
        task: LightningModule,
        learners: Mapping[str, nn.Module],
        options: TrainerConfig,
        factor: Callable[[int], float],
        probe: Probe,
    ) -> None:
        self.task, self.options, self.factor, self.probe = task, options, factor, probe
        self.learners = {
            name: [value for value in module.parameters() if value.requires_grad]
            for name, module in learners.items()
        }
        found: Any = task.optimizers()
        self.optimizers = dict(zip(self.learners, found if isinstance(found, list) else [found], strict=True))

    def begin(self, now: Now, *, last: bool) -> None:
        """Start a batch: set the position in training, and whether the batch is the last of its update."""
        self.now, self.last = now, last
        self.numbers = torch.get_rng_state()

    def gradients(self, loss: Tensor, learner: str = MAIN, *, samples: int | None = None) -> None:
        """Add the gradients of a loss to a learner's parameters; see the protocol."""
        share = self._share(samples, loss) / self.options.accumulate_grad_batches
        with self._alone():
            inputs = self.probe.moving(self.learners[learner], self.now.epoch)
            self.task.manual_backward(loss * share, inputs=inputs)

    def _share(self, samples: int | None, loss: Tensor) -> float:
        """Return the weight of this process's mean in the mean over all processes, times their number."""
        if samples is None or world() == 1:
            return 1.0
        every = torch.tensor(float(samples), device=loss.device)
        dist.all_reduce(every)
        return samples * world() / max(every.item(), 1.0)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Disable DistributedDataParallel's reduction, which expects a single backward pass."""
        block = getattr(self.task.trainer.strategy, "block_backward_sync", None) if world() > 1 else None
        with block() if block else contextlib.nullcontext():
            yield

    def gathered(self, learner: str = MAIN) -> list[Tensor]:
        """A copy of a learner's gradients so far; see the protocol."""
        parameters = self.learners[learner]
        found = [
            torch.zeros_like(value) if value.grad is None else value.grad.clone() for value in parameters
        ]
        self._average(found)
        return [value / self._scale() for value in found]

    def apply(self, learner: str = MAIN) -> None:
        """Take one step of a learner's optimiser, if this is the last batch of the update."""
        if not self.last:
            return
        parameters, optimizer = self.learners[learner], self.optimizers[learner]
        self._average([value.grad for value in parameters if value.grad is not None])
        if self.options.gradient_clip:
            # Gradients of 16-mixed stay scaled until the optimiser's step, so the bound is scaled too.
            clip_grad_norm_(parameters, self.options.gradient_clip * self._scale())
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(self.now.step)
        optimizer.step()
        optimizer.zero_grad()

    def _average(self, gradients: list[Tensor]) -> None:
        if world() == 1:
            return
        flat = torch.cat([value.reshape(-1) for value in gradients])
        dist.all_reduce(flat)
        flat /= world()
        for value, mean in zip(gradients, flat.split([value.numel() for value in gradients]), strict=True):
            value.copy_(mean.view_as(value))

    def _scale(self) -> float:
        scaler = getattr(self.task.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else scaler.get_scale()

    def reset(self, learner: str = MAIN) -> None:
        """Reset the optimiser moments of a learner."""
        self.optimizers[learner].optimizer.state.clear()

    @contextlib.contextmanager
    def replay(self) -> Iterator[None]:
        """Use the same random numbers in every such block of this batch; restore the generator afterwards."""
        devices = [self.task.device] if self.task.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self.numbers)
            if devices:
                torch.cuda.manual_seed(int(self.numbers[:8].view(torch.int64).item()) & (2**63 - 1))
            yield
