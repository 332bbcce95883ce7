"""D3G: a classifier for each training domain, mixed by how the place of a sample relates to the domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Facts, Method, Now, need_places
from geomoe.losses import mean_where
from geomoe.models.relations import mix
from geomoe.support.options import option
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network, RelatedHeads


class HeadsOfDomains(AcrossDomains):
    """The two cross-entropies of D3G, on a network with a head for each training domain.

    With a the relations of a sample of domain d and f_j the scores of the head of domain j:

        task: CE(f_d, y),  relation: weight * CE(sum_{j != d} a_j f_j / sum_{j != d} a_j, y)

    A sample of no known training domain has no head of its own, so it is in neither. With several processes
    both are means over the joint batch.

    Raises:
        ConfigError: fewer than two training domains, no known place among the training samples or those of
            the held-out domain, or an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """How much the heads of the other domains count."""

        weight: float = option(0.5, "weight of the cross-entropy of the other domains' heads", at_least=0)

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        need_places(facts, self.name)
        cast("RelatedHeads", self.model).sources.know(facts.domains, facts.centres)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Both cross-entropies."""
        output = self.ask(batch)
        each, relations = cast("Tensor", output.head_logits), cast("Tensor", output.domain_scores)
        sources = cast("RelatedHeads", self.model).sources
        own = sources.own(batch.domain)
        mine = torch.where(own[:, :, None], each, 0).sum(dim=1)
        others = mix(each, relations, sources.trained & ~own)
        terms = {
            name: self.average(output._replace(logits=logits), batch)
            for name, logits in (("task", mine), ("relation", others))
        }
        terms["relation"] = self.options.weight * terms["relation"]
        return Answer(output, terms)

    def average(self, output: ModelOutput, batch: Batch) -> Tensor:
        """() the cross-entropy over the samples of known training domains, in the joint batch."""
        return mean_where(self.each(output, batch), self.members(batch).any(dim=1))


class D3G(HeadsOfDomains):
    """D3G (Yao et al., ICLR 2024, arXiv 2302.02609), with places as the metadata of domains.

    The cross-entropies are means over the domains in the batch of each domain's mean, and the relations are
    those of :class:`~geomoe.models.relations.PlaceRelation`. At prediction, a sample gets the average of all
    heads, weighted with its relations to their domains.

    Raises:
        ConfigError: as :class:`HeadsOfDomains`.
    """

    name = "d3g"

    @dataclass(frozen=True)
    class Options(HeadsOfDomains.Options):
        """How places are related to domains."""

        beta: float = option(0.5, "share of the fixed relation; the rest is learned", at_least=0, at_most=1)
        masks: int = option(4, "masks over which the learned relation is averaged", at_least=1)
        scale_km: float = option(3000.0, "distance at which the fixed relation is 1/e, in km", above=0)
        query: Literal["domain", "place"] = option(
            "domain",
            "what describes a sample of a training domain: the domain's mean place, or its own",
        )
        negative: Literal["clip", "keep"] = option(
            "clip", "learned relations below 0: clip them to 0, or keep them"
        )

    def average(self, output: ModelOutput, batch: Batch) -> Tensor:
        """() the mean over the domains in the joint batch of each domain's mean cross-entropy."""
        return self.mean_risk(self.each(output, batch), self.members(batch))
