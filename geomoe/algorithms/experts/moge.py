"""MoGE: cross-entropy, load balance, diversity of the specialists, invariance of the shared expert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Method, Now
from geomoe.algorithms.experts.joint import joint_routing
from geomoe.errors import ConfigError
from geomoe.losses import cka_diversity, load_balance, supcon
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network


class MoGE(Method):
    """Mixture of Geographical Experts.

    L = task + aux * load balance + cka * diversity + supcon * invariance (MoGE poster, "total MoGE
    loss"; the poster gives no weights). Each of the last three is the mean over the MoGE blocks, so that the
    meaning of a weight does not depend on the number of blocks. The groups of the invariance term are each
    block's own top-1 experts. A term of weight 0 is not computed.

    A second cross-entropy on the shared expert (``shared_task``) costs a second pass through the whole
    network without specialists, about as much as an additional ERM step.

    With several processes the terms are those of the joint batch.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """

    compares: ClassVar[Mapping[str, str]] = {"supcon": "two samples of a class with different first experts"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """Weights of the terms, and their estimators."""

        aux: float = option(0.01, "weight of the load-balancing term", at_least=0)
        cka: float = option(0.1, "weight of the diversity term", at_least=0)
        cka_estimator: Literal["unbiased", "biased"] = option(
            "unbiased", "unbiased (HSIC without its bias) or biased (the poster's formula)"
        )
        cka_tokens: int = option(
            8, "random tokens of each sample that the diversity term sees; 0: all of them", at_least=0
        )
        supcon: float = option(0.1, "weight of the supervised-contrastive term", at_least=0)
        supcon_temperature: float = option(0.1, "its temperature", above=0)
        shared_task: float = option(
            0.0, "weight of a second cross-entropy, on the shared expert alone", at_least=0
        )

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        if not self.model.blocks:
            found = type(self.model).__name__
            raise ConfigError(f"MoGE: needs a network with MoGE blocks (geomoe.models.add_moge); got {found}")

    @property
    def compares_experts(self) -> bool:
        """Whether a term needs the outputs of all specialists on the same tokens."""
        return self.options.cka > 0

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The network's output and the weighted loss terms, by name."""
        weights = self.options
        output = self.ask(
            batch,
            cka_tokens=weights.cka_tokens if self.compares_experts else None,
            shared_features=weights.supcon > 0,
        )
        terms = {"task": self.cross_entropy(output.logits, batch.label)}
        terms |= dict(self._regularisers(batch, output))
        if weights.shared_task:
            terms["shared_task"] = weights.shared_task * self._shared_task(batch)
        return Answer(output, terms)

    def _regularisers(self, batch: Batch, output: ModelOutput) -> Iterable[tuple[str, Tensor]]:
        weights = self.options
        routings = [joint_routing(routing) for routing in output.routings]
        if weights.aux:
            yield "aux", weights.aux * _mean(load_balance(routing) for routing in routings)
        if weights.cka:
            seen = (gathered(out, dim=1) for out in output.expert_outputs)
            yield "cka", weights.cka * _mean(cka_diversity(out, weights.cka_estimator) for out in seen)
        if weights.supcon:
            label, features = gathered(batch.label), map(gathered, output.shared_features)
            blocks = zip(features, routings, strict=True)
            found = (supcon(f, label, r.top1, weights.supcon_temperature) for f, r in blocks)
            yield "supcon", weights.supcon * _mean(found)

    def _shared_task(self, batch: Batch) -> Tensor:
        """Cross-entropy of the shared expert alone, which runs without a place, as in evaluation."""
        return self.cross_entropy(self.model(batch.image, experts="shared").logits, batch.label)


def _mean(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
