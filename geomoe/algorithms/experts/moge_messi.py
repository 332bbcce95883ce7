"""MoGE whose specialists are aligned, like MESSI's experts, over soft domains that its routers define."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from geomoe.algorithms.contract import Answer, Now
from geomoe.algorithms.experts.moge import MoGE
from geomoe.losses import soft_mmd
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch


class MoGEMESSI(MoGE):
    """MoGE + ssi * L_ssi (MESSI, arXiv 2606.25665), with the routers' gates instead of known domains.

    In MESSI an expert's features of a class are aligned between the domains for which it is responsible, and
    a router of image content determines the responsibility. Here the domains are soft and learned from
    places: sample x belongs to soft domain i of a MoGE block with its gate weight of specialist i, and the
    same gates are the routing mass of the specialists. The features are the mean over the sampled tokens of
    every specialist's output; the discrepancy is MESSI's MMD between weighted samples, because transport
    between soft domains would need a plan over the whole class for every pair. L_ssi is the mean over blocks,
    as are MoGE's own terms, which are unchanged. No domain labels are read.

    With several processes the samples of the joint batch are compared.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """

    @dataclass(frozen=True)
    class Options(MoGE.Options):
        """The alignment, in addition to MoGE's own terms."""

        ssi: float = option(0.01, "weight of the alignment of each specialist's soft domains", at_least=0)
        alpha: float = option(4.0, "sharpness of the pairs' weights in the routing mass", at_least=0)

    @property
    def compares_experts(self) -> bool:
        """Whether a term needs the outputs of all specialists on the same tokens."""
        return super().compares_experts or self.options.ssi > 0

    def losses(self, batch: Batch, now: Now) -> Answer:
        """MoGE's terms, and the alignment of the specialists' features."""
        answer = super().losses(batch, now)
        if not self.options.ssi:
            return answer
        found, label = [], gathered(batch.label)
        for outputs, routing in zip(answer.output.expert_outputs, answer.output.routings, strict=True):
            features = gathered(outputs.unflatten(1, (len(batch.label), -1)).mean(dim=2), dim=1)
            gates = gathered(routing.weights.detach())
            found.append(soft_mmd(features, label, gates, gates, self.options.alpha))
        return answer._replace(terms=answer.terms | {"ssi": self.options.ssi * torch.stack(found).mean()})
