"""Fishr: the same variance of gradients in every domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from geomoe.algorithms.across import Annealed
from geomoe.algorithms.contract import Answer, Facts, Method, Now
from geomoe.errors import ConfigError
from geomoe.losses import fishr_penalty, gradient_variances
from geomoe.support.options import option
from geomoe.support.ranks import gathered
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class Fishr(Annealed):
    """Invariant gradient variances (Rame et al., ICML 2022), in the authors' form in DomainBed.

    L = CE + weight * (1/D) sum_d mean (v_d - mean_d v)^2, the inner mean over the entries of the classifier's
    weight and bias, with CE the mean cross-entropy of the batch and v_d the variance of the gradients of
    domain d's samples with respect to the classifier. It is computed in closed form
    (:func:`geomoe.losses.gradient_variances`), without a backward pass for each sample.

    v_d is a moving average, in a buffer that starts at zero, divided by 1 - ``ema``, so that the gradient
    from the batch does not depend on ``ema``; the tuned weight includes this factor. The average is also
    updated during the first ``anneal`` updates, when the weight is 0; then the optimiser is reset. The
    authors' code requires the same domains in each batch. Here a domain with fewer than two samples in the
    batch is left out of its penalty, and its average does not change. With label smoothing the gradients are
    those of the smoothed loss.

    Memory: domains x (features + 1) x classes numbers for the averages, and the same for a step; with
    hundreds of domains (cameras) and classes that is gigabytes. With several processes v_d is computed on the
    joint batch.

    Raises:
        ConfigError: fewer than two training domains, a classifier that is not one linear layer, or an option
            out of its range.
    """

    name = "fishr"
    average: Tensor
    compares: ClassVar[Mapping[str, str]] = {"fishr_penalty": "two samples of each of two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight, when it starts, and the moving average of variances."""

        weight: float = option(1000.0, "weight of the penalty after the annealing", at_least=0)
        anneal: int = option(1500, "updates without the penalty", at_least=0)
        ema: float = option(0.95, "decay of the moving average of variances", at_least=0, below=1)

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        classifier = self.model.backbone.get_classifier()  # type: ignore[operator]
        if not isinstance(classifier, nn.Linear):
            found = type(classifier).__name__
            raise ConfigError(f"backbone: Fishr needs a classifier of one linear layer; got {found}")
        entries = classifier.out_features * (classifier.in_features + 1)
        self.register_buffer("average", torch.zeros(len(facts.domains), entries))

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The cross-entropy and the penalty; updates the averages."""
        output = self.ask(batch)
        members = self.members(batch)
        features, logits, label = map(gathered, (output.features, output.logits, batch.label))
        fresh = gradient_variances(
            features, logits, label, members, self.facts.label_smoothing, self.sample_weights(label)
        )
        present = members.sum(dim=0) > 1
        kept = self.options.ema
        moved = kept * self.average + (1 - kept) * fresh
        found = fishr_penalty(moved / (1 - kept), present)
        if self.training:
            self.average.copy_(torch.where(present[:, None], moved.detach(), self.average))
        terms = {"task": self.cross_entropy(output.logits, batch.label), "fishr": self.weight(now) * found}
        return Answer(output, terms, {"fishr_penalty": found})
