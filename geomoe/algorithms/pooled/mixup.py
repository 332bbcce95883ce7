"""Mixup of images from two domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.support.options import option
from geomoe.types import Batch


class Mixup(AcrossDomains):
    """Inter-domain mixup (Xu et al., AAAI 2020; Yan et al., 2020), in DomainBed's form.

    The domains of the batch are put in random order, and each is mixed with the next one, the last with the
    first: x = lam x_i + (1 - lam) x_j, one lam ~ Beta(alpha, alpha) for each pair of domains, and

        L = (1/D) sum over pairs of mean [lam CE(f(x), y_i) + (1 - lam) CE(f(x), y_j)].

    The k-th image of a domain is mixed with the k-th image of the next one. If sizes differ, DomainBed cuts
    both to the smaller one; here the images of the smaller next domain are repeated, so that each image is
    the first of a pair exactly once. With equal sizes both are the same. A batch of one domain is not mixed.
    Samples of no known training domain are left out of the loss, but pass through the network.

    In evaluation mode nothing is mixed. With several processes each mixes only its own part of the batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "mixup"

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The distribution of the shares."""

        alpha: float = option(0.2, "both parameters of the Beta distribution of a mixture's shares", above=0)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The mean cross-entropy of the mixtures with respect to both labels."""
        pairs = self._pairs(batch.domain, batch.image.dtype)
        share = pairs.share[:, None, None, None]
        mixed = batch.image * share + batch.image[pairs.partner] * (1 - share)
        output = self.ask(batch._replace(image=mixed))
        own = self.cross_entropy(output.logits, batch.label, "none")
        other = self.cross_entropy(output.logits, batch.label[pairs.partner], "none")
        task = (pairs.weight * (pairs.share * own + (1 - pairs.share) * other)).sum()
        return Answer(output, {"task": task})

    def _pairs(self, domain: Tensor, kind: torch.dtype) -> _Pairs:
        """The partner of each sample, without a loop over domains and without waiting for the device."""
        members = domain[:, None] == self.domains
        count = members.sum(dim=0)
        known, slot = members.any(dim=1), members.int().argmax(dim=1)
        drawn, lam = self._draws(domain.device)
        # the domains in the batch, in random order; then the others
        order = torch.where(count > 0, drawn, torch.inf).argsort()
        after = (order.argsort() + 1) % (count > 0).sum().clamp(min=1)
        following = order[after.clamp(max=len(order) - 1)][slot]
        number = (members.cumsum(dim=0) * members).sum(dim=1) - 1
        rows = torch.where(known, slot, len(count)).argsort(stable=True)  # the samples sorted by domain
        start = count.cumsum(dim=0) - count
        place = start[following] + number.clamp(min=0) % count[following].clamp(min=1)
        mix = known & self.training
        every = torch.arange(len(domain), device=domain.device)
        weight = known.to(kind) / count[slot].clamp(min=1) / (count > 0).sum().clamp(min=1)
        share = torch.where(mix, lam[slot], 1.0).to(kind)
        return _Pairs(torch.where(mix, rows[place], every), share, weight)

    def _draws(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """A sort key and a share of each domain; drawn on the CPU, the same on every device."""
        drawn = torch.rand(len(self.domains))
        alpha = torch.full((len(self.domains),), self.options.alpha)
        lam = torch.distributions.Beta(alpha, alpha).sample()
        return drawn.to(device), lam.to(device)


class _Pairs(NamedTuple):
    """Mixtures of a batch.

    Attributes:
        partner: (B,) int64 row of the other sample in a mixture.
        share: (B,) share of the sample itself.
        weight: (B,) weight of the mixture's loss; their sum is 1, and samples of unknown domain have 0.
    """

    partner: Tensor
    share: Tensor
    weight: Tensor
