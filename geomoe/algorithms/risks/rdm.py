"""RDM: matches the distribution of the worst domain's losses to that of all losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from geomoe.algorithms.across import Annealed
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.losses import risk_matching
from geomoe.support.options import option
from geomoe.types import Batch


class RDM(Annealed):
    """Risk distribution matching (Nguyen et al., WACV 2024), in the authors' form in DomainBed.

    L = mean_d R_d + weight * MMD^2 + variance * (Var(l of all) + Var(l of the worst domain)), with l the
    losses of samples and MMD^2 the discrepancy between the losses of the domain with the largest R_d and all
    losses (:func:`geomoe.losses.risk_matching`). The two extra terms are 0 in the first ``anneal`` updates;
    then the optimiser is reset. DomainBed also changes the learning rate then, to 1.5e-5; here the schedule
    is not changed. The defaults are DomainBed's; it has weight 0.5 and anneal 2400 for DomainNet, and
    variance 0 for TerraIncognita, OfficeHome and DomainNet. The authors train on 88 images of each domain,
    because a few losses are not enough to estimate a distribution.

    Samples of no known training domain are left out. With several processes the loss is computed on the joint
    batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "rdm"
    compares: ClassVar[Mapping[str, str]] = {"loss_mmd": "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The weights of the two terms and when they start."""

        weight: float = option(5.0, "weight of the discrepancy after the annealing", at_least=0)
        variance: float = option(0.004, "weight of the losses' variances after the annealing", at_least=0)
        anneal: int = option(1500, "updates without these terms", at_least=0)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d, the discrepancy and the variances."""
        output = self.ask(batch)
        members, each = self.members(batch), self.each(output, batch)
        found, spread = risk_matching(each, members)
        variance = self.options.variance if now.step >= self.options.anneal else 0.0
        terms = {
            "task": self.mean_risk(each, members),
            "rdm": self.weight(now) * found,
            "rdm_variance": variance * spread,
        }
        return Answer(output, terms, {"loss_mmd": found, "loss_variance": spread})
