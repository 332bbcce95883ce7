"""Measure the cost of a run: seconds and operations of an update, operations of an answer, parameters."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from geomoe.types import Place

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from torch import nn

    from geomoe.inference import Predictor

COUNTED = 3  # updates whose operations are counted, the last ones
WARM_UP = 3  # updates that are not timed
ANSWERS = 8  # images whose operations are counted


@dataclass(frozen=True)
class TrainingCost:
    """The cost of training.

    Attributes:
        step_seconds: mean seconds of a timed update, including loading of data but not validation; None: too
            few updates.
        timed: number of timed updates.
        step_flops: floating-point operations of an update, forward and backward, as a mean over the counted
            updates; None: the network was compiled, so that they cannot be counted.
        counted: number of counted updates.
    """

    step_seconds: float | None
    timed: int
    step_flops: float | None
    counted: int


def flop_counter() -> FlopCounterMode:
    """The counter of operations of torch, extended by the attention on CPUs."""
    aten: Any = torch.ops.aten

    def forward(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:  # noqa: ANN401
        return sdpa_flop_count(query, key, value)

    def backward(out: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401
        return sdpa_backward_flop_count(out, query, key, value)

    name = "_scaled_dot_product_flash_attention_for_cpu"
    own = {getattr(aten, name): forward, getattr(aten, f"{name}_backward"): backward}
    return FlopCounterMode(display=False, custom_mapping=own)


class CostMeter(Callback):
    """Times the updates of a run and counts the operations of the last ones.

    Metering does not change the results of the run. Counted updates are not timed. For a resumed run only the
    part after the last start is measured.

    Args:
        steps: updates of the whole run.
        counted: number of counted updates; None: the last 3, or half of all updates if that is less. Give 0
            for a compiled network, whose operations cannot be counted. For a method whose updates
            alternate between kinds, as many more are counted as whole rounds need.
    """

    def __init__(self, steps: int, *, counted: int | None = None) -> None:
        self._steps = steps
        self._last_ones = min(COUNTED, max(steps // 2, 1)) if counted is None else counted
        self._counter: FlopCounterMode | None = None
        self._last: float | None = None
        self._seconds, self._timed, self._flops, self._counted, self._seen = 0.0, 0, 0, 0, 0

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: Any,  # noqa: ANN401 - a TrainingTask
        batch: object,
        batch_idx: int,
    ) -> None:
        """Start counting operations, if this is one of the last updates."""
        if pl_module.now(batch_idx).step >= self.count_from(pl_module.algorithm.turns):
            self._counter = flop_counter()
            self._counter.__enter__()

    def count_from(self, turns: int) -> int:
        """The first counted update, of a method whose kinds of updates repeat after so many."""
        return max(self._steps - -(-self._last_ones // turns) * turns, 0)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,  # noqa: ANN401 - a TrainingTask
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Stop counting operations; add the seconds since the previous update."""
        now, self._seen = time.perf_counter(), self._seen + 1
        ended = pl_module.ends_update(batch_idx)
        if self._counter is not None:
            self._close()
            self._counted += ended
            self._last = None
            return
        if self._last is not None and self._seen > WARM_UP:
            self._seconds += now - self._last
            self._timed += ended
        self._last = now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not time validation."""
        self._last = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop counting operations."""
        self._close()

    def _close(self) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._flops += self._counter.get_total_flops()
            self._counter = None

    def cost(self) -> TrainingCost:
        """The measured cost."""
        return TrainingCost(
            self._seconds / self._timed if self._timed else None,
            self._timed,
            self._flops / self._counted if self._counted else None,
            self._counted,
        )


def parameters(network: nn.Module) -> int:
    """Parameters of a network, trained or frozen."""
    return sum(one.numel() for one in network.parameters())


@torch.inference_mode()
def answer_flops(predictor: Predictor, choice: Any = "all") -> float:  # noqa: ANN401 - a choice of experts
    """Floating-point operations for one image; they do not depend on the experts to which a place is routed.

    Args:
        predictor: a trained network.
        choice: choice of experts.
    """
    size, bands = predictor.config.model.image_size, int(predictor.info["bands"])
    image = torch.zeros(ANSWERS, bands, size, size)
    lonlat = torch.stack([torch.linspace(-150, 150, ANSWERS), torch.linspace(-60, 60, ANSWERS)], 1).double()
    place = predictor.with_features(Place.of(lonlat, torch.zeros(ANSWERS, dtype=torch.int64)))
    with flop_counter() as counter:
        predictor.forward(image, place, experts=choice)
    return counter.get_total_flops() / ANSWERS
