"""CDANN: features from which a discriminator that knows the class cannot tell the domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from geomoe.algorithms.contract import Facts
from geomoe.algorithms.dann import DANN
from geomoe.algorithms.domains import Slots
from geomoe.algorithms.ranks import total, world
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class CDANN(DANN):
    """Conditional domain-adversarial training (Li et al., ECCV 2018), in DomainBed's form.

    As :class:`~geomoe.algorithms.dann.DANN`, in two ways different. The discriminator is given the features
    plus an embedding of the sample's class, as wide as they are, which is trained with it. And its loss is
    balanced over classes:

        sum_i CE_i / (n_{y_i} C_b)

    over the samples of known training domains, with n_c those of class c in the batch and C_b the number of
    classes that it has. DomainBed has the largest label of the batch plus one in the place of C_b, so that
    its loss shrinks where classes are missing. Labels are needed in training alone. The discriminator's
    price for its input gradient is that of each sample's own loss, without the balance, as there.

    With several processes the balance is that of the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "cdann"

    @dataclass(frozen=True)
    class Options(DANN.Options):
        """Those of DANN."""

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        self.discriminator = _Conditional(self.discriminator, facts.classes, self.model.feature_dim)

    def _scores(self, features: Tensor, batch: Batch) -> Tensor:
        """(B, G) what the discriminator answers, told the classes."""
        return self.discriminator(features, batch.label)

    def _mean(self, each: Tensor, batch: Batch) -> Tensor:
        """() the domain loss, balanced over classes; ``each`` is scaled to a mean over known domains."""
        known = Slots(self.domains).of(batch.domain)[1]
        hot = functional.one_hot(batch.label, self.facts.classes)
        count = total((hot * known[:, None]).sum(dim=0).to(each.dtype))
        classes = (count > 0).sum().clamp(min=1)
        balance = known.sum() * world() / (count[batch.label].clamp(min=1) * classes)
        return (each * balance).mean()


class _Conditional(nn.Module):
    """A discriminator that adds an embedding of the class to the features."""

    def __init__(self, discriminator: nn.Module, classes: int, width: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classes = nn.Embedding(classes, width)

    def forward(self, features: Tensor, label: Tensor) -> Tensor:
        return self.discriminator(features + self.classes(label))
