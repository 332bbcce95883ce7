"""SWAD: the average of all weights while the validation loss is in a flat valley."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.swa_utils import update_bn

from geomoe.algorithms.contract import Answer, Facts, Method, Now, Stepper
from geomoe.support.options import check_options, option
from geomoe.support.text import counted
from geomoe.types import Batch, BlockExperts, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network


class SWAD(Method):
    """Stochastic weight averaging densely, around any method (Cha et al., NeurIPS 2021, algorithm 1).

    The weights after every update are averaged over segments; a segment ends with a validation
    (``data.batches_per_epoch`` sets its length). The valley begins with the segment that ends at the oldest
    of the last ``converge`` validations, if this has the lowest loss of them; the threshold is their mean
    times 1 + ``ratio``. It ends when the last ``tolerance`` losses are all above the threshold; their
    segments are left out. The result is the mean of the weights after every update of the valley. The loss is
    that on the source domains; the held-out domain is never used. Without a valley the last segment is used,
    as in the authors' code. Their code also counts some segments at the beginning twice or not at all; the
    paper does not.

    At the end, batch norm statistics are recomputed in one pass over ``norm_batches`` training batches.
    Training continues after the end of the valley, without effect. Memory: one float32 copy of the weights
    for each of the last ``tolerance`` (or ``converge``) segments, and four more.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The criteria for the beginning and the end of the valley."""

        converge: int = option(
            3, "the valley begins if the oldest of so many validations is the best", at_least=1
        )
        tolerance: int = option(6, "the valley ends if so many losses are above the threshold", at_least=1)
        ratio: float = option(0.3, "threshold above the mean loss at its beginning, as a share", at_least=0)
        norm_batches: int = option(500, "training batches for the statistics of batch norms", at_least=1)

    window: Tensor
    window_loss: Tensor
    window_steps: Tensor
    seen: Tensor
    segment: Tensor
    segment_steps: Tensor
    average: Tensor
    averaged: Tensor
    validations: Tensor
    begun: Tensor
    threshold: Tensor
    ended: Tensor

    def __init__(
        self, options: Options, make_network: Callable[[], Network], facts: Facts, inner: Method
    ) -> None:
        nn.Module.__init__(self)
        check_options(options)
        self.options, self.facts, self.inner = options, facts, inner
        self.result = copy.deepcopy(inner.answering()).requires_grad_(False)
        weights = parameters_to_vector(self.result.parameters()).detach()
        size = max(options.converge, options.tolerance) + 1  # one is added before the oldest is removed
        self.register_buffer("window", weights.new_zeros(size, len(weights)))  # the oldest segment first
        self.register_buffer("window_loss", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("window_steps", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # number of segments in the window
        self.register_buffer("segment", torch.zeros_like(weights))
        self.register_buffer("segment_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("average", torch.zeros_like(weights))
        self.register_buffer("averaged", torch.zeros((), dtype=torch.int64))  # updates in the average
        self.register_buffer("validations", torch.zeros((), dtype=torch.int64))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self.register_buffer("ended", torch.zeros((), dtype=torch.bool))

    # --- delegated to the inner method -----------------------------------------------------------

    @property
    def accumulates(self) -> bool:  # type: ignore[override]
        """As in the inner method."""
        return self.inner.accumulates

    @property
    def automatic(self) -> bool:
        """Whether the inner method is automatic."""
        return self.inner.automatic

    @property
    def turns(self) -> int:
        """As in the inner method."""
        return self.inner.turns

    def learners(self) -> dict[str, nn.Module]:
        """The learners of the inner method."""
        return self.inner.learners()

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The losses of the inner method."""
        return self.inner.losses(batch, now)

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """The update of the inner method."""
        return self.inner.update(batch, now, stepper)

    def forward(self, batch: Batch, experts: BlockExperts = "all") -> ModelOutput:
        """Run the inner method's network, whose validation loss shows where the valley is."""
        return self.inner(batch, experts)

    def answering(self) -> Network:
        """The network with averaged weights, which :meth:`finished` sets."""
        return self.result

    # --- averaging -------------------------------------------------------------------------------

    @torch.no_grad()
    def stepped(self, now: Now) -> None:
        """Add the weights of this update to the mean of the segment."""
        self.inner.stepped(now)
        self.segment_steps += 1
        self.segment.lerp_(self._weights(), 1 / self.segment_steps.item())

    @torch.no_grad()
    def validated(self, scores: Mapping[str, float], now: Now) -> None:
        """End a segment, and look for the beginning or the end of the valley."""
        self.inner.validated(scores, now)
        if self.segment_steps and not self.ended:
            self._push(scores["loss"])
            if self.begun:
                self._go_on()
            else:
                self._begin()
        self.segment_steps.zero_()

    def _weights(self) -> Tensor:
        return parameters_to_vector(self.inner.answering().parameters()).to(self.segment.dtype)

    def _push(self, loss: float) -> None:
        for buffer in (self.window, self.window_loss, self.window_steps):
            buffer.copy_(buffer.roll(-1, 0))
        self.window[-1], self.window_loss[-1], self.window_steps[-1] = self.segment, loss, self.segment_steps
        self.seen += 1
        self.validations += 1

    def _go_on(self) -> None:
        if self.seen > self.options.tolerance:
            self._absorb()
        recent = self.window_loss[-self.options.tolerance :]
        if self.validations >= self.options.tolerance and bool(recent.min() > self.threshold):
            self.ended.fill_(True)
            self.seen.zero_()  # these segments are left out

    def _begin(self) -> None:
        recent = self.window_loss[-self.options.converge :]
        if self.seen < self.options.converge or recent.argmin() > 0:
            self.seen.clamp_(max=len(self.window))
            return
        self.begun.fill_(True)
        self.threshold.copy_(recent.mean() * (1 + self.options.ratio))
        self.seen.fill_(self.options.converge)
        while self.seen > self.options.tolerance:
            self._absorb()

    def _absorb(self) -> None:
        """Add the oldest segment of the window to the average, weighted by its updates."""
        row = len(self.window) - int(self.seen)
        self.averaged += self.window_steps[row]
        self.average.lerp_(self.window[row], self.window_steps[row].item() / self.averaged.item())
        self.seen -= 1

    @torch.no_grad()
    def finished(self, batches: Iterable[Batch]) -> str | None:
        """Set the weights of the averaged network, and recompute its batch norm statistics."""
        if not self.begun:  # no valley: the last segment
            weights = self.window[-1] if self.seen else self._weights()
        else:
            while self.seen:
                self._absorb()
            weights = self.average
        vector_to_parameters(weights.clone(), self.result.parameters())
        for own, other in zip(self.result.buffers(), self.inner.answering().buffers(), strict=True):
            own.copy_(other)
        if any(isinstance(module, _NORMS) for module in self.result.modules()):
            some = ((batch,) for batch in itertools.islice(batches, self.options.norm_batches))
            update_bn(some, _OfBatches(self.result))
        return None if self.begun else self._without_valley()

    def _without_valley(self) -> str:
        found = f"swad: found no valley in {counted(int(self.validations), 'validation')}"
        return (
            f"{found} (swad.converge {self.options.converge}), so its network is the mean of the last "
            f"epoch's weights; train longer, or set data.batches_per_epoch so that epochs are shorter"
        )


_NORMS = nn.modules.batchnorm._BatchNorm


class _OfBatches(nn.Module):
    """A network whose input is a batch, for torch's function that updates batch norms."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> ModelOutput:
        return self.network(batch.image, batch.place)
