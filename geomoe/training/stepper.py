"""The stepper: for methods with an update of their own, what turns losses into changed weights.

It alone knows optimisers, schedules, precision, clipping, accumulation and ranks. Methods that have losses
alone need none: Lightning's automatic optimisation does the same for them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.nn.utils import clip_grad_norm_

from geomoe.algorithms.contract import MAIN, Now
from geomoe.algorithms.ranks import world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightning.pytorch import LightningModule
    from torch import Tensor, nn

    from geomoe.config import TrainerConfig


class LightningStepper:
    """A :class:`~geomoe.algorithms.contract.Stepper` over Lightning's manual optimisation.

    Args:
        task: the Lightning module; its trainer is running, and it has an optimiser for each learner.
        learners: name -> module.
        options: of the trainer.
        factor: of the learning rate, by the number of an update.
    """

    def __init__(
        self,
        task: LightningModule,
        learners: Mapping[str, nn.Module],
        options: TrainerConfig,
        factor: Callable[[int], float],
    ) -> None:
        self.task, self.options, self.factor = task, options, factor
        self.learners = {
            name: [value for value in module.parameters() if value.requires_grad]
            for name, module in learners.items()
        }
        found: Any = task.optimizers()
        self.optimizers = dict(zip(self.learners, found if isinstance(found, list) else [found], strict=True))

    def begin(self, now: Now, *, last: bool) -> None:
        """A batch comes: the update's number, and whether it is the last batch of its update."""
        self.now, self.last = now, last
        self.numbers = torch.get_rng_state()

    def gradients(self, loss: Tensor, learner: str = MAIN, *, samples: int | None = None) -> None:
        """Add the gradients of a loss to a learner's parameters; see the protocol."""
        share = self._share(samples, loss) / self.options.accumulate_grad_batches
        with self._alone():
            self.task.manual_backward(loss * share, inputs=self.learners[learner])

    def _share(self, samples: int | None, loss: Tensor) -> float:
        """What this process's mean counts in the mean over all processes, times their number."""
        if samples is None or world() == 1:
            return 1.0
        every = torch.tensor(float(samples), device=loss.device)
        dist.all_reduce(every)
        return samples * world() / max(every.item(), 1.0)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Without DistributedDataParallel's reduction, which expects one backward pass over everything."""
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
        """One step of a learner's optimiser, if the update's last batch has come."""
        if not self.last:
            return
        parameters, optimizer = self.learners[learner], self.optimizers[learner]
        self._average([value.grad for value in parameters if value.grad is not None])
        if self.options.gradient_clip:
            # gradients of 16-mixed are scaled until the optimiser's own step, and so is their bound
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
        """Forget a learner's moments."""
        self.optimizers[learner].optimizer.state.clear()

    @contextlib.contextmanager
    def replay(self) -> Iterator[None]:
        """Draw what every such block of this batch draws; for what follows, nothing has been drawn."""
        devices = [self.task.device] if self.task.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self.numbers)
            if devices:
                torch.cuda.manual_seed(int(self.numbers[:8].view(torch.int64).item()) & (2**63 - 1))
            yield
