"""VREx: penalises differences between the risks of the domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from geomoe.algorithms.across import Annealed
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.losses import domain_means, mean_where, variance_where
from geomoe.support.options import option
from geomoe.types import Batch


class VREx(Annealed):
    """Risk extrapolation by variance (Krueger et al., ICML 2021, eq. 8), in DomainBed's form.

    L = mean_d R_d + weight * Var_d(R_d), with R_d the mean cross-entropy of domain d in the batch and the
    variance over the domains of the batch with 1/n. The paper sums the risks; DomainBed takes their mean. In
    the first ``anneal`` updates the weight is 1; then the optimiser is reset. A batch of one domain has no
    variance. Samples of no known training domain are left out.

    With several processes the loss is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "vrex"
    early = 1.0
    compares: ClassVar[Mapping[str, str]] = {"risk_variance": "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight and when it starts."""

        weight: float = option(10.0, "weight of the variance after the annealing", at_least=0)
        anneal: int = option(500, "updates during which the weight is 1", at_least=0)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d and the variance of R_d."""
        output = self.ask(batch)
        risks, count = domain_means(self.each(output, batch), self.members(batch))
        found = variance_where(risks, count > 0)
        terms = {"task": mean_where(risks, count > 0), "vrex": self.weight(now) * found}
        return Answer(output, terms, {"risk_variance": found})
