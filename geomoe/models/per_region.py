"""One complete network for each training domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from geomoe.models.network import Ask, Network, check_rows, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features, width
from geomoe.models.sources import SourceDomains
from geomoe.types import ModelOutput, Place, as_place


class RegionNetworks(Network):
    """A sample is classified by the network of its domain.

    A sample of no training domain is classified by the mean of the probabilities of all trained networks.
    With ``elsewhere="nearest"``, and if its place is known, it is classified by the network of the domain
    whose mean place is nearest to it.

    Args:
        networks: one timm network with its classifier for each domain.
        domains: ids of the domains, ascending.
        elsewhere: "mean" or "nearest".

    Raises:
        ConfigError: a network without timm's interface.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        domains: Sequence[int],
        elsewhere: Literal["mean", "nearest"] = "mean",
    ) -> None:
        nn.Module.__init__(self)  # Network's own would need one backbone
        self.networks = nn.ModuleList(check_network(one) for one in networks)
        self.sources = SourceDomains(domains)
        self.elsewhere = elsewhere
        self.encoder = None

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The network of the first domain."""
        return self.networks[0]

    @property
    def backbones(self) -> tuple[nn.Module, ...]:
        """The networks of all domains."""
        return tuple(self.networks)

    @property
    def feature_dim(self) -> int:
        """D, width of the pooled features."""
        return width(self.networks[0])

    def of_region(self, number: int, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, C), at least float32, and features (B, D) of the network of the domain at a position."""
        features = pooled_features(self.networks[number], image)
        scores = classify(self.networks[number], features)
        return scores if scores.dtype.itemsize > 4 else scores.float(), features

    def slots(self, place: Place | None, count: int) -> Tensor:
        """(B,) position of the network for each sample; -1: all of them."""
        if place is None:
            return torch.full((count,), -1, device=self.sources.ids.device)
        own = self.sources.own(place.domain)
        slot = torch.where(own.any(dim=1), own.int().argmax(dim=1), -1)
        usable = self.sources.trained & self.sources.placed
        if self.elsewhere == "mean" or not bool(usable.any()):
            return slot
        far = self.sources.kilometres(torch.where(place.known[:, None], place.lonlat, 0))
        nearest = torch.where(usable, far, math.inf).argmin(dim=1)
        return torch.where((slot < 0) & place.known, nearest, slot)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images; the features of a sample of no domain are the mean of the networks' features."""
        refuse_choice(ask.experts, "RegionNetworks")
        place = as_place(place)
        check_rows(image, place)
        slot = self.slots(place, len(image))
        alone = (slot < 0).nonzero().flatten()
        rows: list[Tensor] = []
        found: list[tuple[Tensor, Tensor]] = []  # scores and features of these rows
        of_all: list[tuple[Tensor, Tensor]] = []  # log-probabilities and features of the rows of no domain
        for number in self.sources.trained.nonzero().flatten().tolist():
            mine = (slot == number).nonzero().flatten()
            if len(mine) or len(alone) or not len(image):
                scores, pooled = self.of_region(number, image[torch.cat([mine, alone])])
                rows.append(mine)
                found.append((scores[: len(mine)], pooled[: len(mine)]))
                of_all.append((scores[len(mine) :].log_softmax(dim=1), pooled[len(mine) :]))
        if len(alone):
            log_p, pooled = (torch.stack(parts) for parts in zip(*of_all, strict=True))
            rows.append(alone)
            found.append((log_p.logsumexp(dim=0) - math.log(len(of_all)), pooled.mean(dim=0)))
        order = torch.cat(rows).argsort()
        logits, features = (torch.cat(parts)[order] for parts in zip(*found, strict=True))
        return ModelOutput(logits, features)
