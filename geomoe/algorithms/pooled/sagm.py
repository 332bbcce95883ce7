"""SAGM: flat minima, where the gradient beside a point agrees with the one at it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geomoe.algorithms.contract import Answer, Method, Now, Stepper
from geomoe.support.options import option
from geomoe.types import Batch

_TINY = 1e-12  # beside a norm


class SAGM(Method):
    """Sharpness-aware gradient matching (Wang et al., CVPR 2023), as in the authors' code.

    With L the mean cross-entropy and g0 its gradient, the weights go to

        theta' = theta + (rho / |g0| - alpha) g0

    where the same batch gives g1; back at theta the optimiser steps along (g0 + g1) / 2. The norm is over all
    trainable parameters. Both passes draw the same random numbers (dropout), and the second one leaves the
    running statistics of batch norms alone. An update costs two forward and backward passes, and a copy of
    the weights and of the gradients.

    The authors' processes each go to a point of their own; here g0 is that of the joint batch.

    Raises:
        ConfigError: an option out of its range.
    """

    accumulates = False  # theta' belongs to one batch

    @dataclass(frozen=True)
    class Options(Method.Options):
        """How far theta' lies."""

        rho: float = option(0.05, "length of the step up the gradient", at_least=0)
        alpha: float = option(0.001, "share of the gradient that is taken back", at_least=0)

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """The gradient here, the gradient there, and one step along their mean."""
        with stepper.replay():
            answer = self.losses(batch, now)
            stepper.gradients(answer.total / 2)
        weights: list[Tensor] = [value for value in self.parameters() if value.requires_grad]
        kept = [value.detach().clone() for value in weights]
        with torch.no_grad():
            slopes = [2 * slope for slope in stepper.gathered()]
            length = torch.stack([slope.norm() for slope in slopes]).norm()
            scale = self.options.rho / (length + _TINY) - self.options.alpha
            torch._foreach_add_(weights, [scale * slope for slope in slopes])
        with stepper.replay(), _still_norms(self.model):
            stepper.gradients(self.losses(batch, now).total / 2)
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)
        stepper.apply()
        return answer.detached()._replace(notes={"gradient_norm": length})


@contextlib.contextmanager
def _still_norms(network: nn.Module) -> Iterator[None]:
    """Batch norms use the statistics of the batch and do not remember them."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = not norm.training
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
