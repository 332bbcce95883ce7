"""Base class of methods that bring the pooled features of the training domains together."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Now
from geomoe.support.ranks import gathered
from geomoe.types import Batch


class MatchedFeatures(AcrossDomains):
    """The mean risk of the domains, and a distance between their distributions of pooled features.

    L = mean_d R_d + weight * D, with R_d the mean cross-entropy of domain d in the batch and D the
    :meth:`distance`. The options include ``weight``. Samples of no known training domain are left out.

    With several processes the loss is computed on the joint batch.

    Attributes:
        note: name under which D is logged without its weight.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    note: ClassVar[str]

    def distance(self, features: Tensor, members: Tensor) -> Tensor:
        """D, implemented by a method.

        Args:
            features: (B, D) pooled features of the joint batch.
            members: (B, G) bool: whether a sample belongs to a training domain.

        Returns:
            () mean over the pairs of domains in the batch; 0 without a pair.
        """
        raise NotImplementedError

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d and the distance between the domains' features."""
        output = self.ask(batch)
        members = self.members(batch)
        found = self.distance(gathered(output.features), members)
        terms = {"task": self.mean_risk(self.each(output, batch), members)}
        return Answer(output, terms | {self.name: self.options.weight * found}, {self.note: found})
