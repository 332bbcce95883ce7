"""Controls of MESSI: its network and regularisers, with other weights of the pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from geomoe.algorithms.experts.messi import MESSI, Discrepancy
from geomoe.losses import ClassPairs
from geomoe.support.options import option
from geomoe.support.ranks import shared


class MESSIControl(MESSI):
    """Base class of the controls: an option selects the discrepancy; the authors' code always uses MMD."""

    @dataclass(frozen=True)
    class Options(MESSI.Options):
        """The discrepancy."""

        discrepancy: Literal["ot", "mmd"] = option("ot", "optimal transport, or MMD")
        epsilon: float = option(
            0.05, "in the paper's variant: entropic term relative to the mean cost of a pair", above=0
        )
        iterations: int = option(50, "in the paper's variant: Sinkhorn iterations", at_least=1)

    def discrepancy(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """The discrepancy that the option selects."""
        ask = self.mmd if self.options.discrepancy == "mmd" else self.transport
        return ask(features, pairs, weights)

    def counted(self, pairs: ClassPairs) -> Tensor:
        """Indices of the pairs over which the code's variant takes a mean.

        The unbiased MMD compares only pairs with two or more samples on both sides, so only these count.
        """
        every = torch.arange(len(pairs.first), device=pairs.first.device)
        return pairs.free if self.options.discrepancy == "mmd" else every


class GlobalMoE(MESSIControl):
    """Every expert is aligned over every pair of domains (MESSI, arXiv 2606.25665, E.4 and F.5).

    The weight of every pair is 1, whatever ``alpha`` is: two to three times MESSI's mean weight. ``ssi`` can
    compensate for this.
    The authors' code takes the mean over experts and the pairs that it compares, the paper's form the sum.
    """

    name = "global_moe"

    def pair_weights(self, probs: Tensor, pairs: ClassPairs) -> Tensor:
        """The same weight for all pairs."""
        shape = (probs.shape[1], len(pairs.first))
        if self.options.variant == "paper":
            return probs.new_ones(shape)
        counted = self.counted(pairs)
        share = 1 / max(probs.shape[1] * len(counted), 1)
        return probs.new_zeros(shape).index_fill(1, counted, share)


class RandomSubsetMoE(MESSIControl):
    """Pairs with random weights (MESSI, arXiv 2606.25665, E.4 and F.5).

    The paper requires the sparsity of MESSI, but MESSI's weights are never 0. So the paper's variant permutes
    MESSI's own weights over the experts and pairs at each step, which keeps their sum and distribution. The
    authors' code takes the mean over a share of the experts' pairs that it compares, drawn at each step.
    """

    name = "random_subset_moe"

    @dataclass(frozen=True)
    class Options(MESSIControl.Options):
        """The share of pairs that is drawn."""

        share: float = option(
            0.3, "in the code's variant: share of the experts' pairs that is aligned", above=0, at_most=1
        )

    def pair_weights(self, probs: Tensor, pairs: ClassPairs) -> Tensor:
        """Random weights, from torch's generator, which a run seeds; the same in all processes."""
        weights = super().pair_weights(probs, pairs)
        if self.options.variant == "paper":
            order = shared(torch.randperm(weights.numel(), device=weights.device))
            return weights.flatten()[order].view_as(weights)
        counted = self.counted(pairs)
        order = shared(torch.randperm(len(weights) * len(counted), device=weights.device))
        count = min(max(round(self.options.share * len(order)), 1), len(order))
        drawn = (order < count).to(weights.dtype) / max(count, 1)
        return torch.zeros_like(weights).index_copy(1, counted, drawn.view(len(weights), -1))


class DomainOnlyMoE(MESSIControl):
    """Weights from the routing mass of whole domains, whatever the class (MESSI, table 4).

    The compared cells are still those of one class, so that this is the only difference from MESSI.
    """

    name = "domain_only"

    def pair_weights(self, probs: Tensor, pairs: ClassPairs) -> Tensor:
        """Weights from the mean routing over each domain's samples in the batch."""
        same = (pairs.domains[:, None] == pairs.domains[None, :]).to(probs.dtype)
        sizes = pairs.sizes[:, None].to(probs.dtype)
        masses = (same @ (pairs.cell_means(probs) * sizes)) / (same @ sizes)
        return self.responsibility(masses, pairs)
