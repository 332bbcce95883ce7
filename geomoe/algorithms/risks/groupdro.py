"""GroupDRO: domains with a higher loss get a higher weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Method, Now, need_domains
from geomoe.algorithms.domains import Slots
from geomoe.support.options import option
from geomoe.support.ranks import total, world
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class GroupDRO(Method):
    """Group distributionally robust optimisation (Sagawa et al., ICLR 2020, algorithm 1).

    L = sum_d q_d R_d with R_d the mean cross-entropy of domain d in the batch. The weights q of the training
    domains are a buffer; at each step q_d is multiplied by exp(eta R_d), R_d detached, and q is normalised:
    exponentiated gradient ascent, without a moving average. A domain that is not in the batch has R_d = 0, as
    in WILDS. Samples of no known domain are left out. DomainBed and WILDS update q before the loss is
    computed (option ``q``), wilds-geoshift after it.

    With several processes R_d is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    accumulates = False  # q would be updated within a step

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The update of the domains' weights."""

        eta: float = option(0.01, "step size of the domains' weights", at_least=0)
        q: Literal["before", "after"] = option(
            "before", "whether the weights move before the loss is formed, or after it"
        )

    q: Tensor
    domains: Tensor

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        need_domains(facts, "groupdro")
        self.register_buffer("domains", torch.tensor(facts.domains))
        self.register_buffer("q", torch.full((len(facts.domains),), 1 / len(facts.domains)))

    def losses(self, batch: Batch, now: Now) -> Answer:
        """sum_d q_d R_d; updates the weights q."""
        output = self.ask(batch)
        each = self.cross_entropy(output.logits, batch.label, "none")
        added, count = Slots(self.domains).sums(each, batch.domain)
        count, risks = total(count), total(added)
        risks = torch.where(count > 0, risks / count.clamp(min=1), 0)
        moved = self.q * torch.exp(self.options.eta * risks)
        moved = moved / moved.sum()
        q = moved if self.options.q == "before" else self.q.clone()
        # processes average their gradients, so each is multiplied by their number to give the joint gradient
        robust = world() * (q * added / count.clamp(min=1)).sum()
        if self.training:
            self.q.copy_(moved)
        return Answer(output, {"task": robust}, {"worst_risk": risks.max()})
