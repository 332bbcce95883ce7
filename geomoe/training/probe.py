"""A linear probe first: the backbone is frozen for some epochs, then everything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from geomoe.models import Network
from geomoe.training.optimizers import classifier_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class Probe:
    """Which parameters are frozen; the batch norms of frozen backbones keep their statistics.

    The backbones of every network of a method are frozen, except for their classifiers. All other modules
    (classifiers of methods, experts, the location encoder, discriminators) are trained from the start. A
    frozen parameter gets no gradient, so optimisers skip it: it has no moments and no weight decay.
    ``requires_grad`` is not changed, because data-parallel training does not allow it.

    Args:
        method: the training method.
        epochs: number of epochs in which the backbones are frozen.
    """

    def __init__(self, method: nn.Module, epochs: int) -> None:
        self.epochs = epochs
        networks = (module for module in method.modules() if isinstance(module, Network))
        backbones = [backbone for network in networks for backbone in network.backbones]
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
        """Whether the backbones are frozen in an epoch, counted from 0."""
        return epoch < self.epochs

    def begin(self, epoch: int) -> None:
        """Call before each step: fix the statistics of batch norms, or let them be updated again."""
        if self.epochs:
            for norm in self.norms:
                norm.train(not self.lasts(epoch))

    def moving(self, parameters: Iterable[nn.Parameter], epoch: int) -> list[nn.Parameter]:
        """The given parameters that are trained in an epoch."""
        found = [value for value in parameters if value.requires_grad]
        return [value for value in found if id(value) not in self.parameters] if self.lasts(epoch) else found

    def clear(self, epoch: int) -> None:
        """Call before an optimiser's step: drop the gradients of frozen parameters."""
        if self.lasts(epoch):
            for value in self.parameters.values():
                value.grad = None
