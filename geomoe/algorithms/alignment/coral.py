"""CORAL: features with the same mean and covariance in every domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.losses import coral_distance
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch


class CORAL(AcrossDomains):
    """Deep CORAL (Sun and Saenko, ECCV workshops 2016), in DomainBed's form for several domains.

    L = mean_d R_d + weight * C, with R_d the mean cross-entropy of domain d in the batch and C the distance
    between means and covariances of the pooled features, averaged over the pairs of domains in the batch
    (:func:`geomoe.losses.coral_distance`). DomainBed's weight is 1; WILDS uses 0.1 for FMoW and 10 for
    iWildCam, and takes the mean cross-entropy over samples instead. Samples of no known training domain are
    left out.

    With several processes the loss is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "coral"
    compares: ClassVar[Mapping[str, str]] = {"coral_distance": "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight."""

        weight: float = option(1.0, "weight of the distance between domains", at_least=0)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d and the distance between the domains' features."""
        output = self.ask(batch)
        members = self.members(batch)
        found = coral_distance(gathered(output.features), members)
        terms = {"task": self.mean_risk(self.each(output, batch), members)}
        return Answer(output, terms | {"coral": self.options.weight * found}, {"coral_distance": found})
