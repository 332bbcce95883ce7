"""A linear probe first: the backbone is frozen for some epochs, then everything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from geomoe.models import Network
from geomoe.training.optimizers import classifier_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class Probe:
    """Which parameters stand still, and batch norms that do not measure meanwhile.

    The backbone of every network of a method stands still, but for its classifier. What is beside it
    (classifiers of methods, experts, the location encoder, discriminators) is trained from the start. A
    parameter that stands still gets no gradient, so optimisers skip it: it has no moments and no weight
    decay. ``requires_grad`` stays as it is, because data-parallel training must not see it change.

    Args:
        method: the training method.
        epochs: how many epochs the backbones stand still.
    """

    def __init__(self, method: nn.Module, epochs: int) -> None:
        self.epochs = epochs
        backbones = [module.backbone for module in method.modules() if isinstance(module, Network)]
        frozen: dict[int, nn.Parameter] = {}
        for backbone in backbones:
            heads = {id(value) for value in classifier_of(backbone).parameters()}
            frozen |= {id(value): value for value in backbone.parameters() if id(value) not in heads}
        self.parameters = frozen
        self.norms = [
            module
            for backbone in backbones
            for module in backbone.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ]

    def lasts(self, epoch: int) -> bool:
        """Whether the backbones stand still in an epoch, counted from 0."""
        return epoch < self.epochs

    def begin(self, epoch: int) -> None:
        """Before each step: batch norms use their statistics as they are, or measure again."""
        if self.epochs:
            for norm in self.norms:
                norm.train(not self.lasts(epoch))

    def moving(self, parameters: Iterable[nn.Parameter], epoch: int) -> list[nn.Parameter]:
        """Those of some parameters that are trained in an epoch."""
        found = [value for value in parameters if value.requires_grad]
        return [value for value in found if id(value) not in self.parameters] if self.lasts(epoch) else found

    def clear(self, epoch: int) -> None:
        """Before an optimiser's step: drop gradients that a joint backward pass has left."""
        if self.lasts(epoch):
            for value in self.parameters.values():
                value.grad = None
