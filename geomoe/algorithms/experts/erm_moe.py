"""ERM-MoE: MESSI's network, trained only with cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Method, Now
from geomoe.algorithms.domains import Slots
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomoe.models import Network


class ERMMoE(Method):
    """Cross-entropy alone, on a network with a head of experts (MESSI, arXiv 2606.25665, table 16 and F.5).

    The paper's cross-entropy is the mean over the source domains of each domain's mean (eq. 1); the authors'
    code takes the mean over the batch. Both are equal if all domains have the same number of samples. Samples
    of no known domain count as one additional domain, so that none is lost.

    With several processes the cross-entropy is computed on the joint batch.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The head of experts, and whether MESSI follows the paper or the authors' code."""

        experts: int = option(6, "experts in the head", at_least=1)
        expansion: int = option(4, "hidden width of an expert over that of the features", at_least=1)
        variant: Literal["paper", "code"] = option(
            "paper", "what to follow where the paper and the authors' code differ"
        )

    domains: Tensor

    def __init__(
        self,
        options: Any,  # noqa: ANN401 - the Options of each method
        make_network: Callable[[], Network],
        facts: Facts,
    ) -> None:
        super().__init__(options, make_network, facts)
        self.register_buffer("domains", torch.tensor(facts.domains, dtype=torch.long))

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropy."""
        output = self.ask(batch, cka_tokens=0)
        notes = {"top_load": gathered(output.routings[0].probs).mean(dim=0).amax()}
        return Answer(output, {"task": self.task(output.logits, batch)}, notes)

    def task(self, logits: Tensor, batch: Batch) -> Tensor:
        """() the cross-entropy of the variant."""
        each = gathered(self.cross_entropy(logits, batch.label, "none"))
        if self.options.variant == "code":
            return each.mean()
        slot = self.slots(gathered(batch.domain))
        slot = torch.where(slot < 0, len(self.domains), slot)
        zeros = each.new_zeros(len(self.domains) + 1)
        added, count = zeros.index_add(0, slot, each), zeros.index_add(0, slot, torch.ones_like(each))
        return (added / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)

    def slots(self, domain: Tensor) -> Tensor:
        """(B,) positions of the samples' domains among the training domains; -1 for others."""
        if not len(self.domains):
            return torch.full_like(domain, -1)
        slot, known = Slots(self.domains).of(domain)
        return torch.where(known, slot, -1)
