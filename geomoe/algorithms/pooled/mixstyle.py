"""MixStyle: mixes the statistics of early features between samples."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Method, Now
from geomoe.models.mixstyle import mixing, style_points
from geomoe.support.options import option
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class MixStyle(Method):
    """Mixed feature statistics (Zhou et al., ICLR 2021).

    After each of the first ``stages`` stages of the backbone, with probability p for the whole batch, each
    sample's channel means and deviations over positions become lam times its own plus 1 - lam times another
    sample's, lam ~ Beta(alpha, alpha) for each sample; statistics carry no gradient. The loss is the mean
    cross-entropy. Nothing is mixed in evaluation, and the network itself is not changed.

    The other sample is that of a random permutation ("random"), or a random one of another domain
    ("crossdomain"; an unknown domain counts as one more, and a sample without any other domain keeps its
    style). The authors' crossdomain mode swaps the halves of a batch of two domains.

    The stages of convolutional networks are timm's; the authors use 3 of 4 in ResNets. They give no
    definition for vision transformers. Ours: the blocks are divided into four groups, channels are those of
    the tokens, and statistics are taken over patch tokens; class and register tokens are not changed.

    With several processes each mixes only its own part of the batch.

    Raises:
        ConfigError: an option out of its range, or a backbone without stages.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """Where, how often, and with which samples styles are mixed."""

        p: float = option(0.5, "probability of mixing, at each stage", at_least=0, at_most=1)
        alpha: float = option(0.1, "both parameters of the Beta distribution of shares", above=0)
        stages: int = option(3, "stages of the backbone after which styles are mixed", at_least=1, at_most=3)
        partner: Literal["random", "crossdomain"] = option(
            "random", "any other sample of the batch, or one of another domain"
        )

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        style_points(self.model.backbone, options.stages)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The cross-entropy of a network with mixed styles."""
        mixed = mixing(self.model.backbone, self.options.stages, lambda: self._draw(batch.domain))
        with mixed if self.training else contextlib.nullcontext():
            output = self.ask(batch)
        return Answer(output, {"task": self.cross_entropy(output.logits, batch.label)})

    def _draw(self, domain: Tensor) -> tuple[Tensor, Tensor] | None:
        """Shares and partners; drawn on the CPU, so that they are the same on every device."""
        if torch.rand(()).item() >= self.options.p:
            return None
        size = len(domain)
        alpha = torch.full((size,), self.options.alpha)
        share = torch.distributions.Beta(alpha, alpha).sample().to(domain.device)
        if self.options.partner == "random":
            return share, torch.randperm(size).to(domain.device)
        other = domain[:, None] != domain[None, :]
        drawn = torch.where(other, torch.rand(size, size).to(domain.device), -1.0)
        own = torch.arange(size, device=domain.device)
        return share, torch.where(other.any(dim=1), drawn.argmax(dim=1), own)
