"""One network for each training domain, trained on that domain alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Facts, Method, Now, Stepper
from geomoe.support.options import option
from geomoe.support.ranks import total, world
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geomoe.models import Network, RegionNetworks


class PerRegion(AcrossDomains):
    """Per-region models (MoGE poster): each training domain has its own network and optimiser.

    Each network minimises the cross-entropy on its own domain. It takes a step in each update whose batch has
    samples of the domain, so use batches with the same number of samples of each domain where some are small.
    Samples of no known training domain are left out. With several processes each gradient is that of the
    joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "per_region"
    accumulates = False  # a network takes a step if its domain is in the batch

    @dataclass(frozen=True)
    class Options(Method.Options):
        """What is done with samples of other domains."""

        elsewhere: Literal["mean", "nearest"] = option(
            "mean", "for samples of no training domain: mean of all networks, or the nearest domain's network"
        )

    def __init__(self, options: Method.Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        self.regions.sources.know(facts.domains, facts.centres)

    @property
    def regions(self) -> RegionNetworks:
        """The network."""
        return cast("RegionNetworks", self.model)

    def learners(self) -> dict[str, nn.Module]:
        """The network of each domain with training samples."""
        trained = self.regions.sources.trained.nonzero().flatten().tolist()
        return {f"region{number}": self.regions.networks[number] for number in trained}

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Mean cross-entropy of the samples of training domains, each by its domain's network."""
        return self._answer(self.ask(batch), batch)

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """A step of each network whose domain is in the batch."""
        own = self.regions.sources.own(batch.domain)
        here = own.sum(dim=0)
        counts = here.tolist()
        found = []
        for number in total(here).nonzero().flatten().tolist():  # the same in every process
            # a process without samples of this domain takes part with one row of weight 0
            rows = own[:, number].nonzero().flatten() if counts[number] else here.new_zeros(1)
            logits, features = self.regions.of_region(number, batch.image[rows])
            loss = self.cross_entropy(logits, batch.label[rows])
            stepper.gradients(loss, f"region{number}", samples=counts[number])
            stepper.apply(f"region{number}")
            if counts[number]:
                found.append((rows, logits.detach(), features.detach()))
        return self._answer(self._assembled(found, batch), batch).detached()

    def _assembled(self, found: list[tuple[Tensor, Tensor, Tensor]], batch: Batch) -> ModelOutput:
        """Scores and features in the order of the batch; 0 for samples of no training domain."""
        count, like = len(batch.label), batch.image
        logits = like.new_zeros(count, self.facts.classes)
        features = like.new_zeros(count, self.regions.feature_dim)
        for rows, scores, pooled in found:
            logits[rows], features[rows] = scores.to(like.dtype), pooled.to(like.dtype)
        return ModelOutput(logits, features)

    def _answer(self, output: ModelOutput, batch: Batch) -> Answer:
        known = self.regions.sources.own(batch.domain).any(dim=1)
        each = self.cross_entropy(output.logits, batch.label, "none")
        task = world() * torch.where(known, each, 0).sum() / total(known.sum()).clamp(min=1)
        return Answer(output, {"task": task})
