"""PG-DRO on MoGE: learned domains with a higher loss get a higher weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Now
from geomoe.algorithms.experts.moge import MoGE
from geomoe.support.options import option
from geomoe.support.ranks import total, world
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class PGDRO(MoGE):
    """MoGE with probabilistic group DRO (Ghosal and Li, AAAI 2023) over the groups of its routers.

    A sample i belongs to group g, an expert, with the gate weight p_ig of the router. The cross-entropy of
    MoGE is replaced by

        L = sum_g q_g R_g,  R_g = sum_i p_ig l_i / sum_i p_ig,
        q_g <- q_g exp(eta (R_g + adjustment / sqrt(n_g))), then normalised, before L is formed

    with l_i the cross-entropy of sample i; in L itself R_g is not adjusted, and q carries no gradient. MoGE's
    other terms are unchanged. Each MoGE block has its own groups and its own q, in a buffer, and L is the
    mean over the blocks. The authors' groups are fixed before training. Here they move with the routers, so p
    carries no gradient either; otherwise a router could lower L by sending hard samples to groups of small
    weight. n_g is the number of training samples times the group's share of the batch's gate weight. A group
    without gate weight has R_g = 0.

    With several processes R_g is that of the joint batch, as MoGE's terms are.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """

    accumulates = False  # q would be updated within a step

    @dataclass(frozen=True)
    class Options(MoGE.Options):
        """How fast the weights of the groups move, in addition to MoGE's options."""

        eta: float = option(0.01, "step size of the groups' weights", at_least=0)
        adjustment: float = option(0.0, "added to a group's risk, divided by sqrt(its samples)", at_least=0)

    q: Tensor

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        blocks, groups = len(self.model.blocks), self.model.num_experts
        self.register_buffer("q", torch.full((blocks, groups), 1 / groups))

    def losses(self, batch: Batch, now: Now) -> Answer:
        """MoGE's terms with sum_g q_g R_g instead of the cross-entropy; updates the weights of the groups."""
        answer = super().losses(batch, now)
        each = self.cross_entropy(answer.output.logits, batch.label, "none")
        gates = torch.stack([routing.weights for routing in answer.output.routings]).detach().to(each.dtype)
        added, count = (each[:, None] * gates).sum(dim=1), total(gates.sum(dim=1))  # (blocks, groups)
        share = torch.where(count > 0, 1 / count.clamp(min=torch.finfo(count.dtype).tiny), 0)
        risks = total(added) * share
        q = self.q * torch.exp(self.options.eta * (risks + self._adjustment(count)))
        q = q / q.sum(dim=1, keepdim=True)
        # the gradient of the joint mean: processes average theirs, so each counts as many times
        robust = world() * (q * added * share).sum(dim=1).mean()
        if self.training:
            self.q.copy_(q)
        return Answer(answer.output, answer.terms | {"task": robust}, {"worst_risk": risks.max()})

    def _adjustment(self, count: Tensor) -> Tensor:
        """(blocks, groups) adjustment / sqrt(n_g); 0 for a group without gate weight in the batch."""
        size = sum(self.facts.samples) * count / count.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.where(count > 0, self.options.adjustment / size.clamp(min=1).sqrt(), 0)
