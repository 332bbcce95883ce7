"""MMD: features with the same distribution in every domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.losses import squared_mmd
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch


class MMD(AcrossDomains):
    """Features matched by maximum mean discrepancy (Li et al., CVPR 2018), in DomainBed's form.

    L = mean_d R_d + weight * M, with R_d the mean cross-entropy of domain d in the batch and M the squared
    discrepancy of the pooled features under a sum of seven Gaussian kernels, averaged over the pairs of
    domains in the batch (:func:`geomoe.losses.squared_mmd`). The authors match codes of an autoencoder, and
    train them against an adversary; DomainBed omits both. Samples of no known training domain are left out.

    With several processes the loss is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "mmd"
    compares: ClassVar[Mapping[str, str]] = {"discrepancy": "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight."""

        weight: float = option(1.0, "weight of the discrepancy between domains", at_least=0)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d and the discrepancy between the domains' features."""
        output = self.ask(batch)
        members = self.members(batch)
        found = squared_mmd(gathered(output.features), members)
        terms = {"task": self.mean_risk(self.each(output, batch), members)}
        return Answer(output, terms | {"mmd": self.options.weight * found}, {"discrepancy": found})
