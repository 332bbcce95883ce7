"""MESSI: experts that are aligned, class by class, over the domains that are routed to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Now, need_domains
from geomoe.algorithms.experts.erm_moe import ERMMoE
from geomoe.algorithms.experts.joint import joint_routing
from geomoe.losses import (
    ClassPairs,
    expert_likeness,
    grouped_mmd,
    grouped_sinkhorn,
    load_gap,
    routing_entropy,
)
from geomoe.losses.decomposition import Form
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch, Routing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from geomoe.models import Network

#: A weighted sum, and name -> () further numbers to log.
Discrepancy = tuple[Tensor, dict[str, Tensor]]
_CODE_SINKHORN: dict[str, Any] = {"epsilon": 0.1, "scale": "absolute", "iterations": 50, "unrolled": True}
_CODE_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # standard deviations


class MESSI(ERMMoE):
    """Mixture of experts with subset-shared invariance (arXiv 2606.25665): base class of its variants.

    L = L_cls + ssi L_ssi + sp L_sp + bal L_bal + div L_div (eq. 5). L_ssi is a sum over experts m, classes c
    and pairs of domains i < j that both have the class in the batch. Each summand is a_ijc^m times the
    discrepancy between expert m's features of the two cells, with a = sigmoid(alpha rho_i)
    sigmoid(alpha rho_j) and rho the cell's mean routing mass (eq. 6 and 48). The weights a carry no gradient:
    the router learns from the other terms. L_sp is the entropy of the routing, L_bal the squared difference
    of the mean loads from even ones (eq. 8), L_div the similarity of the experts' features (eq. 7). A term of
    weight 0 is not computed.

    Samples of no known training domain are in no pair; they count in every other term. With several
    processes the joint batch is compared, so each of them has the features and the pairs of all.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name: ClassVar[str]
    compares: ClassVar[Mapping[str, str]] = {"ssi_of_a_pair": "a class in two training domains"}

    @dataclass(frozen=True)
    class Options(ERMMoE.Options):
        """The weights of the terms, and their variants."""

        ssi: float = option(0.01, "weight of the alignment of each expert's domains", at_least=0)
        sp: float = option(0.02, "weight of the routing's entropy", at_least=0)
        bal: float = option(0.02, "weight of the squared distance of the loads from even ones", at_least=0)
        div: float = option(0.02, "weight of the similarity of the experts' features", at_least=0)
        alpha: float = option(4.0, "sharpness of the pairs' weights in the routing mass", at_least=0)
        likeness: Literal["cosine", "printed"] = option(
            "cosine", "similarity in the paper's variant: mean squared cosine, or equation 7 as printed"
        )
        load_memory: float = option(
            0.0, "decay of the moving average of the balanced loads; 0: the batch alone", at_least=0, below=1
        )

    load: Tensor

    def __init__(
        self,
        options: Any,  # noqa: ANN401 - the Options of each variant
        make_network: Callable[[], Network],
        facts: Facts,
    ) -> None:
        need_domains(facts, self.name)
        super().__init__(options, make_network, facts)
        self.register_buffer("load", torch.full((options.experts,), 1 / options.experts))

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The weighted terms; updates the moving average of the loads."""
        # before the network runs, so that waiting for the device takes little time
        pairs = self.pairs(batch) if self.options.ssi else None
        output = self.ask(batch, cka_tokens=0)
        routing, features = joint_routing(output.routings[0]), gathered(output.expert_outputs[0], dim=1)
        terms = {"task": self.task(output.logits, batch)}
        notes = {"top_load": routing.probs.mean(dim=0).amax()}
        if pairs is not None:
            weights = self.pair_weights(routing.probs.detach(), pairs)
            value, beside = self.discrepancy(features, pairs, weights)
            terms["ssi"] = self.options.ssi * value
            notes |= beside | {"ssi_of_a_pair": value / max(weights.numel(), 1)}
        return Answer(output, terms | dict(self._regularisers(routing, features)), notes)

    def pairs(self, batch: Batch) -> ClassPairs:
        """The pairs of the joint batch."""
        return ClassPairs.of(gathered(batch.label), self.slots(gathered(batch.domain)))

    def pair_weights(self, probs: Tensor, pairs: ClassPairs) -> Tensor:
        """(E, G) weight of each pair for each expert, from the routing (B, E) (eq. 48)."""
        return self.responsibility(pairs.cell_means(probs), pairs)

    def responsibility(self, masses: Tensor, pairs: ClassPairs) -> Tensor:
        """(E, G) products of the sigmoids of the two cells' routing masses (K, E)."""
        sharp = torch.sigmoid(self.options.alpha * masses).T
        return sharp[:, pairs.first] * sharp[:, pairs.second]

    def discrepancy(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """() weighted sum over experts and pairs, and further numbers to log."""
        raise NotImplementedError

    def transport(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """Optimal transport; logs the cost without the entropic term, and the gap of the plans."""
        given = {"epsilon": self.options.epsilon, "iterations": self.options.iterations}
        options = _CODE_SINKHORN if self.options.variant == "code" else given
        found = grouped_sinkhorn(features, pairs, weights, **options)
        return found.value, {"moved": found.cost, "plan_gap": found.gap}

    def mmd(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """Maximum mean discrepancy, which is also the number to log."""
        if self.options.variant == "code":
            variances = [scale**2 for scale in _CODE_SCALES]
            unbiased: dict[str, Any] = {"variances": variances, "scale": "absolute", "estimator": "unbiased"}
            value = grouped_mmd(features, pairs, weights, **unbiased)
        else:
            value = grouped_mmd(features, pairs, weights)
        return value, {"moved": value.detach()}

    def _regularisers(self, routing: Routing, features: Tensor) -> Iterator[tuple[str, Tensor]]:
        options = self.options
        if options.sp:
            yield "sp", options.sp * routing_entropy(routing.logits)
        if options.bal:
            yield "bal", options.bal * load_gap(self._loads(routing.probs))
        if options.div:
            form: Form = "raw" if options.variant == "code" else options.likeness
            yield "div", options.div * expert_likeness(features, form)

    def _loads(self, probs: Tensor) -> Tensor:
        """(E,) mean loads, including the moving average."""
        kept = self.options.load_memory
        mean = kept * self.load + (1 - kept) * probs.sum(dim=0) / max(len(probs), 1)
        if self.training and kept:
            self.load.copy_(mean.detach())
        return mean


class MESSIOT(MESSI):
    """MESSI with entropic optimal transport between the cells (eq. 6).

    The paper gives neither the strength of the entropic term nor the number of iterations. In the paper's
    variant the strength is relative to each pair's mean cost, the term is part of the value, and the plan is
    a constant in the gradient, which is exact at convergence. The authors' code uses 0.1, absolute, and
    differentiates through 50 iterations; its value does not include the entropic term.
    """

    name = "messi_ot"

    @dataclass(frozen=True)
    class Options(MESSI.Options):
        """The transport."""

        epsilon: float = option(
            0.05, "in the paper's variant: entropic term relative to the mean cost of a pair", above=0
        )
        iterations: int = option(50, "in the paper's variant: Sinkhorn iterations", at_least=1)

    def discrepancy(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """Optimal transport."""
        return self.transport(features, pairs, weights)


class MESSIMMD(MESSI):
    """MESSI with the squared maximum mean discrepancy between the cells (eq. 51 and 52).

    Gaussian kernels, the mean over five scales. In the paper's variant: variances 1, 2, 4, 8, 16 times the
    mean squared distance of an expert's features, and means over all sample pairs. In the authors' code:
    absolute standard deviations 1, 2, 4, 8, 16, and the unbiased estimate without cells of one sample.
    """

    name = "messi_mmd"

    def discrepancy(self, features: Tensor, pairs: ClassPairs, weights: Tensor) -> Discrepancy:
        """MMD."""
        return self.mmd(features, pairs, weights)
