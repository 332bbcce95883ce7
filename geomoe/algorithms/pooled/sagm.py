"""SAGM: flat minima, where the gradient at a nearby point agrees with the gradient at the point itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.algorithms.contract import Answer, Facts, Method, Now, Stepper
from geomoe.errors import ConfigError
from geomoe.support.options import check_options, option
from geomoe.types import Batch, BlockExperts, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network

_TINY = 1e-12  # added to a norm


class SAGM(Method):
    """Sharpness-aware gradient matching (Wang et al., CVPR 2023), as in the authors' code.

    With L the loss and g0 its gradient, the weights go to

        theta' = theta + (rho / |g0| - alpha) g0

    where the same batch gives the gradient g1; back at theta, the optimiser takes a step along (g0 + g1) / 2.
    The norm is over all trainable parameters. Both passes draw the same random numbers (dropout) and begin
    with the same buffers; the second pass's changes of buffers (running statistics of batch norms, weights of
    groups) are undone. An update costs two forward and backward passes, and a copy of the weights, gradients
    and buffers.

    Used alone, L is the mean cross-entropy. ``around`` another method, L is the sum of that method's terms. A
    method with its own update or several learners is refused, because it has no such L.

    In the authors' code each process has its own theta'; here g0 is that of the joint batch.

    Args:
        options: how far theta' is from theta.
        make_network: makes a network, if there is no inner method.
        facts: facts about the task.
        inner: the method that this one wraps; None: cross-entropy.

    Raises:
        ConfigError: an option out of its range, or an inner method that has no single loss.
    """

    accumulates = False  # theta' belongs to one batch

    @dataclass(frozen=True)
    class Options(Method.Options):
        """How far theta' is from theta."""

        rho: float = option(0.05, "length of the step up the gradient", at_least=0)
        alpha: float = option(0.001, "multiple of the gradient that is subtracted from that step", at_least=0)

    def __init__(
        self,
        options: Options,
        make_network: Callable[[], Network],
        facts: Facts,
        inner: Method | None = None,
    ) -> None:
        if inner is None:
            super().__init__(options, make_network, facts)
        else:
            _check_inner(inner)
            nn.Module.__init__(self)
            check_options(options)
            self.options, self.facts = options, facts
        self.inner = inner

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """Compute the gradients at theta and theta', and take one step along their mean."""
        return matched_update(self, batch, now, stepper, rho=self.options.rho, alpha=self.options.alpha)

    # --- delegated to the inner method, if there is one ------------------------------------------

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropy, or the losses of the inner method."""
        return super().losses(batch, now) if self.inner is None else self.inner.losses(batch, now)

    def forward(self, batch: Batch, experts: BlockExperts = "all") -> ModelOutput:
        """Run the network."""
        return super().forward(batch, experts) if self.inner is None else self.inner(batch, experts)

    def resets(self, now: Now) -> bool:
        """Whether the inner method resets the optimiser."""
        return self.inner is not None and self.inner.resets(now)

    def stepped(self, now: Now) -> None:
        """Tell the inner method."""
        if self.inner is not None:
            self.inner.stepped(now)

    def validated(self, scores: Mapping[str, float], now: Now) -> None:
        """Tell the inner method."""
        if self.inner is not None:
            self.inner.validated(scores, now)

    def answering(self) -> Network:
        """The network, or that of the inner method."""
        return super().answering() if self.inner is None else self.inner.answering()

    @property
    def makes_network(self) -> bool:
        """Never: an inner method that does is refused."""
        return False


def _check_inner(inner: Method) -> None:
    name = type(inner).__name__
    if inner.makes_network:
        raise ConfigError(f"around: sagm goes inside {name}, not around it; name {name.lower()} last")
    if not inner.one_step:
        raise ConfigError(
            f"around: sagm needs a method whose update is one step along the gradient of its losses; "
            f"{name} has an update of its own"
        )


def matched_update(
    method: Method, batch: Batch, now: Now, stepper: Stepper, *, rho: float, alpha: float
) -> Answer:
    """One update of :class:`SAGM` with the losses of a method.

    Args:
        method: the method that computes the losses; its parameters are changed.
        batch: the batch of both passes.
        now: progress of the training, passed to the losses.
        stepper: takes the step.
        rho: length of the step up the gradient.
        alpha: multiple of the gradient that is subtracted from that step.
    """
    before = _copies(method.buffers())
    with stepper.replay():
        answer = method.losses(batch, now)
        stepper.gradients(answer.total / 2)
    weights: list[Tensor] = [value for value in method.parameters() if value.requires_grad]
    kept = _copies(weights)
    with torch.no_grad():
        slopes = [2 * slope for slope in stepper.gathered()]
        length = torch.stack([slope.norm() for slope in slopes]).norm()
        scale = rho / (length + _TINY) - alpha
        torch._foreach_add_(weights, [scale * slope for slope in slopes])
    with stepper.replay(), _again_from(method, before):
        stepper.gradients(method.losses(batch, now).total / 2)
    with torch.no_grad():
        torch._foreach_copy_(weights, kept)
    if method.resets(now):
        stepper.reset()
    stepper.apply()
    found = answer.detached()
    return found._replace(notes={**found.notes, "gradient_norm": length})


@contextlib.contextmanager
def _again_from(method: Method, before: list[Tensor]) -> Iterator[None]:
    """Set the method's buffers to ``before`` inside a ``with`` block, and back to their values afterwards."""
    buffers = list(method.buffers())
    after = _copies(buffers)
    _restore(buffers, before)
    try:
        yield
    finally:
        _restore(buffers, after)


def _copies(values: Iterable[Tensor]) -> list[Tensor]:
    return [value.detach().clone() for value in values]


@torch.no_grad()
def _restore(values: list[Tensor], kept: list[Tensor]) -> None:
    for value, one in zip(values, kept, strict=True):
        value.copy_(one)
