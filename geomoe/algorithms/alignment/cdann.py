"""CDANN: features from which a discriminator that is given the class cannot predict the domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from geomoe.algorithms.alignment.dann import DANN
from geomoe.algorithms.contract import Facts
from geomoe.algorithms.domains import Slots
from geomoe.support.ranks import total
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class CDANN(DANN):
    """Conditional domain-adversarial training (Li et al., ECCV 2018), in DomainBed's form.

    It differs from :class:`~geomoe.algorithms.alignment.dann.DANN` in two points. The discriminator's input
    is the sum of the features and an embedding of the sample's class of the same width, trained with the
    discriminator. And its loss is balanced over classes:

        sum_i CE_i / (n_{y_i} C_b)

    over the samples of known training domains, with n_c the number of samples of class c in the batch and C_b
    the number of classes in the batch. DomainBed uses the largest label of the batch plus one instead of C_b,
    so that its loss shrinks if classes are missing. Labels are needed only in training. As in DomainBed, the
    penalty on the discriminator's input gradient uses each sample's own loss, without the balance.

    With several processes the balance is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "cdann"

    @dataclass(frozen=True)
    class Options(DANN.Options):
        """The options of DANN."""

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        self.discriminator = _Conditional(self.discriminator, facts.classes, self.model.feature_dim)

    def _scores(self, features: Tensor, batch: Batch) -> Tensor:
        """(B, G) logits of the discriminator, which is given the classes."""
        return self.discriminator(features, batch.label)

    def _mean(self, each: Tensor, batch: Batch) -> Tensor:
        """() the domain loss, balanced over classes; ``each`` is scaled for a mean over known domains."""
        known = Slots(self.domains).of(batch.domain)[1]
        hot = functional.one_hot(batch.label, self.facts.classes)
        count = total((hot * known[:, None]).sum(dim=0).to(each.dtype))
        classes = (count > 0).sum().clamp(min=1)
        balance = count.sum() / (count[batch.label].clamp(min=1) * classes)
        return (each * balance).mean()


class _Conditional(nn.Module):
    """A discriminator that adds an embedding of the class to the features."""

    def __init__(self, discriminator: nn.Module, classes: int, width: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classes = nn.Embedding(classes, width)

    def forward(self, features: Tensor, label: Tensor) -> Tensor:
        return self.discriminator(features + self.classes(label))
