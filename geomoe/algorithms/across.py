"""Base classes of methods that compare the training domains of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from geomoe.algorithms.contract import Facts, Method, Now, need_domains
from geomoe.losses import domain_means, mean_where
from geomoe.support.ranks import gathered
from geomoe.support.text import counted
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network


class AcrossDomains(Method):
    """A method with loss terms between domains.

    With several processes, each of them computes these terms on the joint batch.

    Attributes:
        name: the method's name in messages.
        domains: (G,) ids of the training domains.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name: ClassVar[str]
    domains: Tensor

    def __init__(
        self,
        options: Method.Options,
        make_network: Callable[[], Network],
        facts: Facts,
    ) -> None:
        super().__init__(options, make_network, facts)
        need_domains(facts, self.name)
        self.register_buffer("domains", torch.tensor(facts.domains))

    def members(self, batch: Batch) -> Tensor:
        """(B, G) bool: which training domain, if any, each sample of the joint batch belongs to."""
        return gathered(batch.domain)[:, None] == self.domains

    def each(self, output: ModelOutput, batch: Batch) -> Tensor:
        """(B,) cross-entropy of every sample of the joint batch."""
        return gathered(self.cross_entropy(output.logits, batch.label, "none"))

    def mean_risk(self, each: Tensor, members: Tensor) -> Tensor:
        """() mean of the domains' mean losses, over the domains in the batch."""
        risks, count = domain_means(each, members)
        return mean_where(risks, count > 0)


class Annealed(AcrossDomains):
    """A method whose penalty gets its full weight after ``anneal`` updates; the optimiser is then reset.

    The options include ``weight`` and ``anneal``. The optimiser's moments are reset when the weight changes,
    as in DomainBed, because they would be far too small for the following gradients.

    Attributes:
        early: weight of the penalty before the change.
    """

    early: ClassVar[float] = 0.0

    def weight(self, now: Now) -> float:
        """Current weight of the penalty."""
        return self.options.weight if now.step >= self.options.anneal else self.early

    def unreached(self, steps: int) -> str:
        """The full weight of the penalty, if the annealing is as long as the run."""
        anneal = self.options.anneal
        if steps > anneal:
            return ""
        return (
            f"{self.name}.anneal: the penalty has its weight after {counted(anneal, 'update')}, and this run "
            f"has {steps}, all with weight {self.early:g}; lower --{self.name}.anneal, or train longer"
        )

    def resets(self, now: Now) -> bool:
        """When the penalty's weight changes."""
        return bool(now.step == self.options.anneal)
