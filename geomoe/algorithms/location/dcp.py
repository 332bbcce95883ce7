"""Domain conditional predictors: the classifier is told about the domain, by a context that predicts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch.nn import functional

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Facts, Method, Now, need_places
from geomoe.losses import mean_where
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch

if TYPE_CHECKING:
    from torch import Tensor

    from geomoe.models import ConditionedNetwork, Network


class DCP(AcrossDomains):
    """Domain conditional predictors (Monteiro et al., arXiv 2106.13899).

    The loss is CE(s(x, z), y) + weight * CE(g(z), d): the context z of an image modulates its features, and a
    linear classifier g predicts the training domain d from it. Here z is the pooled features of a second
    backbone. Samples of no known training domain are only in the first term. With several processes the
    second term is the mean over the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "dcp"

    @dataclass(frozen=True)
    class Options(Method.Options):
        """How much the domain counts."""

        weight: float = option(0.2, "weight of the cross-entropy of the domain", at_least=0)

    def __init__(self, options: Method.Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        cast("ConditionedNetwork", self.model).sources.know(facts.domains, facts.centres)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropies of the class and of the domain."""
        output = self.ask(batch)
        own = cast("ConditionedNetwork", self.model).sources.own(batch.domain)
        scores = cast("Tensor", output.domain_scores)
        scores = scores if scores.dtype.itemsize > 4 else scores.float()
        each = functional.cross_entropy(scores, own.int().argmax(dim=1), reduction="none")
        terms = {
            "task": self.cross_entropy(output.logits, batch.label),
            "domain": self.options.weight * mean_where(gathered(each), gathered(own.any(dim=1))),
        }
        right = (scores.argmax(dim=1) == own.int().argmax(dim=1)).to(each.dtype)
        return Answer(output, terms, {"domain_acc": mean_where(right, own.any(dim=1))})


class DCPLE(DCP):
    """DCP with the embedding of the place as the context (DCP+LE; wilds-geoshift, arXiv 2503.02036).

    Raises:
        ConfigError: fewer than two training domains, no known place among the training samples or those of
            the held-out domain (if the encoder reads places), or an option out of its range.
    """

    name = "dcp_le"

    def __init__(self, options: Method.Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        encoder = self.model.encoder
        if encoder is not None and encoder.trained is None:
            need_places(facts, self.name)
