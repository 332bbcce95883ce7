"""DANN: features from which a discriminator cannot predict the domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.algorithms.contract import Answer, Facts, Method, Now, Stepper, need_domains
from geomoe.algorithms.domains import Slots
from geomoe.support.options import option
from geomoe.support.ranks import total, world
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class DANN(Method):
    """Domain-adversarial training (Ganin et al., JMLR 2016), in DomainBed's alternating form.

    A discriminator, an MLP on the pooled features, learns to predict the domain by cross-entropy. Of every
    ``steps + 1`` updates, ``steps`` train the discriminator; in the other one the network minimises
    CE(class) - weight * CE(domain). The number of the update decides which of them is trained. The norm of
    the discriminator's input gradient can be penalised (``penalty``). Samples of no known training domain are
    left out of the domain terms.

    Only every ``steps + 1``-th update trains the classifier: use ``steps + 1`` times as many updates.

    With several processes the means are those of the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The discriminator and its training against the network."""

        weight: float = option(1.0, "weight of the network's domain term", at_least=0)
        steps: int = option(1, "updates of the discriminator for each of the network", at_least=1)
        width: int = option(256, "width of the discriminator's hidden layers", above=0)
        depth: int = option(3, "linear layers of the discriminator", at_least=1)
        dropout: float = option(0.0, "dropout in the discriminator", at_least=0, below=1)
        penalty: float = option(0.0, "weight of the discriminator's squared input gradient", at_least=0)

    name: ClassVar[str] = "dann"
    domains: Tensor

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        need_domains(facts, self.name)
        self.register_buffer("domains", torch.tensor(facts.domains))
        self.discriminator: nn.Module = mlp(self.model.feature_dim, len(facts.domains), options)

    def learners(self) -> dict[str, nn.Module]:
        """The network and the discriminator."""
        return {"network": self.model, "discriminator": self.discriminator}

    @property
    def turns(self) -> int:
        """The discriminator's updates and one of the network."""
        return int(self.options.steps + 1)

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The network's terms: cross-entropy of the class, minus that of the domain."""
        output = self.ask(batch)
        found = self._mean(self._domain_loss(output.features, batch), batch)
        terms = {
            "task": self.cross_entropy(output.logits, batch.label),
            "domain": -self.options.weight * found,
        }
        return Answer(output, terms, {"discriminator": found})

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """One step of the discriminator or of the network."""
        if now.step % (self.options.steps + 1) < self.options.steps:
            answer, loss = self._discriminate(batch)
            stepper.gradients(loss, "discriminator")
            stepper.apply("discriminator")
        else:
            answer = self.losses(batch, now)
            stepper.gradients(answer.total, "network")
            stepper.apply("network")
        return answer.detached()

    def _discriminate(self, batch: Batch) -> tuple[Answer, Tensor]:
        """The discriminator's loss, and an answer that logs the same numbers as the network's update."""
        with torch.no_grad():
            output = self.ask(batch)
        features = output.features.detach().requires_grad_(self.options.penalty > 0)
        each = self._domain_loss(features, batch)
        found = self._mean(each, batch)
        whole = found
        if self.options.penalty:
            (slope,) = torch.autograd.grad(each.sum(), features, create_graph=True)
            square = slope.square().sum(dim=1).mean()  # of scaled losses: the scale comes in twice
            whole = found + self.options.penalty * square * self._known(batch) / (world() * len(slope))
        terms = {
            "task": self.cross_entropy(output.logits, batch.label),
            "domain": -self.options.weight * found.detach(),
        }
        return Answer(output, terms, {"discriminator": found}), whole

    def _domain_loss(self, features: Tensor, batch: Batch) -> Tensor:
        """(B,) cross-entropy of the discriminator, scaled so that its mean is over known domains.

        With several processes, the average of their means is the mean over the joint batch.
        """
        slot, known = Slots(self.domains).of(batch.domain)
        scores = self._scores(features, batch)
        scores = scores if scores.dtype.itemsize > 4 else scores.float()
        each = functional.cross_entropy(scores, slot, reduction="none")
        return torch.where(known, each, 0) * (world() * len(known)) / self._known(batch)

    def _known(self, batch: Batch) -> Tensor:
        """() number of samples of known training domains in the joint batch, at least 1."""
        return total(Slots(self.domains).of(batch.domain)[1].sum()).clamp(min=1)

    def _scores(self, features: Tensor, batch: Batch) -> Tensor:
        """(B, G) logits of the discriminator."""
        return self.discriminator(features)

    def _mean(self, each: Tensor, batch: Batch) -> Tensor:
        """() the domain loss, from its values for samples (B,)."""
        return each.mean()


def mlp(inputs: int, outputs: int, options: DANN.Options) -> nn.Sequential:
    """Make the discriminator: linear layers with ReLU and dropout in between."""
    widths = [inputs, *[options.width] * (options.depth - 1), outputs]
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        if number:
            layers += [nn.ReLU(), nn.Dropout(options.dropout)]
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)
