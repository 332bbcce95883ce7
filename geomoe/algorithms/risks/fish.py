"""Fish: an inner loop over domains, so that the gradients of different domains agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.algorithms.contract import Answer, Facts, Method, Now, Stepper, need_domains
from geomoe.algorithms.domains import Slots
from geomoe.support.options import option
from geomoe.support.ranks import shared, total
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network


class Fish(Method):
    """Inter-domain gradient matching, first order (Shi et al., ICLR 2022, algorithm 1).

    The inner network starts as a copy of the outer one and takes one optimiser step on each domain of the
    batch, in random order; then outer += meta_lr * (inner - outer), including floating-point buffers. The
    inner optimiser keeps its moments from batch to batch, as in DomainBed. The outer network is evaluated and
    saved. Samples of no known training domain are left out.

    A step costs one forward and backward pass over the batch, one domain at a time. With several processes
    each domain's gradient is computed on the joint batch.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    accumulates = False  # the inner loop steps at every domain

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The step size of the outer network."""

        meta_lr: float = option(0.5, "share of the way to the inner network", above=0, at_most=1)

    domains: Tensor

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        need_domains(facts, "fish")
        self.register_buffer("domains", torch.tensor(facts.domains))
        self.inner = make_network()
        self.inner.load_state_dict(self.model.state_dict())
        self.model.requires_grad_(False)

    def learners(self) -> dict[str, nn.Module]:
        """The inner network; the outer one has no optimiser."""
        return {"inner": self.inner}

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """One inner step on each domain, then one outer step."""
        self.inner.load_state_dict(self.model.state_dict())
        slot, known = Slots(self.domains).of(batch.domain)
        here = torch.bincount(slot[known], minlength=len(self.domains))
        present = total(here).nonzero().flatten()  # the same in every process
        order = shared(torch.randperm(len(present)).to(present.device))
        here = here.cpu()
        added = batch.image.new_zeros(())
        output = ModelOutput(batch.image.new_zeros(0, self.facts.classes), batch.image.new_zeros(0, 0))
        for number in present[order].tolist():
            # a process without samples of this domain must take part too: it uses one row with weight 0
            rows = ((slot == number) & known).nonzero().flatten() if here[number] else slot.new_zeros(1)
            part = batch.take(rows)
            output = self.inner(part.image, part.place)
            loss = self.cross_entropy(output.logits, part.label)
            stepper.gradients(loss, "inner", samples=int(here[number]))
            stepper.apply("inner")
            added += loss.detach() * here[number]
        self._follow()
        return Answer(output, {"task": added / max(int(here.sum()), 1)}).detached()

    @torch.no_grad()
    def _follow(self) -> None:
        inner = self.inner.state_dict()
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(inner[name], self.options.meta_lr)
            else:
                value.copy_(inner[name])  # counters
