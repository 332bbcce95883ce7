"""IRM: one classifier that is optimal in every domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from geomoe.algorithms.across import Annealed
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.losses import irm_penalty, irm_slopes
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch


class IRM(Annealed):
    """Invariant risk minimisation, IRMv1 (Arjovsky et al., 2019, eq. 6).

    L = mean_d R_d + weight * mean_d P_d, with R_d the mean cross-entropy of domain d in the batch and P_d an
    unbiased estimate of the squared derivative of R_d with respect to a factor on the logits, at 1
    (:func:`geomoe.losses.irm_penalty`). It can be negative, and is not clamped. In the first ``anneal``
    updates the weight is 1; then the optimiser is reset. Unlike in the authors' code, and as in DomainBed and
    WILDS, the loss is not divided by the weight.

    P_d is the product of the mean slopes of two halves of the domain's samples, taken alternately, as in
    DomainBed and WILDS, or the mean over all pairs of samples (``estimate``), which varies less. The
    derivative is computed in closed form. A domain with one sample has a risk but no penalty. Samples of no
    known training domain are left out.

    With several processes the loss is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "irm"
    early = 1.0
    compares: ClassVar[Mapping[str, str]] = {"irm_penalty": "two samples of a training domain"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty, its weight and when it starts."""

        weight: float = option(100.0, "weight of the penalty after the annealing", at_least=0)
        anneal: int = option(500, "updates during which the weight is 1", at_least=0)
        estimate: Literal["halves", "pairs"] = option(
            "halves", "squared slope from two halves of a domain's samples, or from all pairs of them"
        )

    def losses(self, batch: Batch, now: Now) -> Answer:
        """mean_d R_d and the penalty."""
        output = self.ask(batch)
        members = self.members(batch)
        slopes = irm_slopes(output.logits, batch.label, self.facts.label_smoothing)
        weights = self.sample_weights(batch.label)
        if weights is not None:
            slopes = slopes * weights.to(slopes.dtype)
        found = irm_penalty(gathered(slopes), members, self.options.estimate)
        task = self.mean_risk(self.each(output, batch), members)
        return Answer(output, {"task": task, "irm": self.weight(now) * found}, {"irm_penalty": found})
