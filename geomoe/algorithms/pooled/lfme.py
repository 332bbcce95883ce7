"""LFME: an expert for each domain guides the network that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.algorithms.across import AcrossDomains
from geomoe.algorithms.contract import MAIN, Answer, Facts, Method, Now, Stepper
from geomoe.algorithms.domains import Slots
from geomoe.support.options import option
from geomoe.support.ranks import total, world
from geomoe.types import Batch

if TYPE_CHECKING:
    from geomoe.models import Network


class LFME(AcrossDomains):
    """Learning from multiple experts (Chen et al., NeurIPS 2024), as in the authors' code.

    Besides the network that is kept, there is one complete network for each training domain, the domain's
    expert. It is trained by cross-entropy on its domain alone, with its own optimiser. The network that is
    kept minimises

        CE(all) + weight * mean over samples and classes of (logit - softmax of the domain's expert)^2

    As the paper prints it, the logits themselves are drawn towards the experts' probabilities, which keeps
    them small. The experts' answers carry no gradient, and are those given just before the experts' own step.
    A sample of no known training domain has no expert, and counts only in the cross-entropy.

    The experts need the memory of one more network for each training domain, and together the time of one
    more pass over the batch. Group the domains where there are hundreds of them (cameras). With several
    processes each gradient is that of the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "lfme"
    accumulates = False  # an expert takes a step if its domain is in the batch

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The weight of the experts' guidance."""

        weight: float = option(1.0, "weight of the experts' guidance", at_least=0)

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        self.experts = nn.ModuleList(make_network() for _ in facts.domains)

    def learners(self) -> dict[str, nn.Module]:
        """The network that is kept, and the expert of each domain."""
        return {MAIN: self.model} | {f"expert{number}": one for number, one in enumerate(self.experts)}

    def losses(self, batch: Batch, now: Now) -> Answer:
        """The loss of the network that is kept, guided by the experts in their current state."""
        guide = batch.image.new_zeros(len(batch.label), self.facts.classes)
        with torch.no_grad():
            slot, known = Slots(self.domains).of(batch.domain)
            for number, expert in enumerate(self.experts):
                rows = ((slot == number) & known).nonzero().flatten()
                if len(rows):
                    part = batch.take(rows)
                    guide[rows] = expert(part.image, part.place).logits.softmax(dim=1).to(guide.dtype)
        return self._guided(batch, guide)

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """A step of each expert whose domain is in the batch, then one of the network that is kept."""
        slot, known = Slots(self.domains).of(batch.domain)
        here = torch.bincount(slot[known], minlength=len(self.domains))
        present = total(here).nonzero().flatten().tolist()  # the same in every process
        counts = here.tolist()
        guide = batch.image.new_zeros(len(batch.label), self.facts.classes)
        for number in present:
            # a process without samples of this domain takes part with one row of weight 0
            rows = ((slot == number) & known).nonzero().flatten() if counts[number] else slot.new_zeros(1)
            part, expert = batch.take(rows), f"expert{number}"
            logits = self.experts[number](part.image, part.place).logits
            loss = self.cross_entropy(logits, part.label)
            stepper.gradients(loss, expert, samples=counts[number])
            stepper.apply(expert)
            if counts[number]:
                guide[rows] = logits.detach().softmax(dim=1).to(guide.dtype)
        answer = self._guided(batch, guide)
        stepper.gradients(answer.total)
        stepper.apply()
        return answer.detached()

    def _guided(self, batch: Batch, guide: Tensor) -> Answer:
        output = self.ask(batch)
        known = Slots(self.domains).of(batch.domain)[1]
        square = torch.where(known, (output.logits - guide).to(guide.dtype).square().mean(dim=1), 0)
        found = world() * square.sum() / total(known.sum()).clamp(min=1)
        task = self.cross_entropy(output.logits, batch.label)
        return Answer(output, {"task": task, "guide": self.options.weight * found})
