"""DynMoE: every expert that is similar enough to a token processes it, and the number of experts adapts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Facts, Method, Now
from geomoe.errors import ConfigError
from geomoe.losses import codebook_spread
from geomoe.moe import TopAnyRouter
from geomoe.support.options import option
from geomoe.support.ranks import total
from geomoe.types import Batch, ModelOutput

if TYPE_CHECKING:
    from geomoe.models import Network


class DynMoE(Method):
    """Dynamic mixture of experts (Guo et al., arXiv 2405.14297): top-any gating, adaptive number of experts.

    L = cross-entropy + aux * sum over blocks of (|S - I| + mean |e_k|), with the codes e_k of the live
    experts and their cosines S (eq. 9). The router is :class:`geomoe.moe.TopAnyRouter`. After every ``every``
    updates each block drops the experts that no token of these updates chose, and revives one if some tokens
    chose none. There are slots for ``max_experts``. Which of them are alive is a buffer of the router, and
    the counts since the last change are buffers of the method, so that a resumed run gives the same bits.

    With several processes the tokens of all of them are counted, and all change their experts in the same
    way.

    Raises:
        ConfigError: an option out of its range, or a network whose routers are not top-any routers.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The term on the codes, and how the number of experts adapts."""

        aux: float = option(0.01, "weight of the term on the codes of each block", at_least=0)
        max_experts: int = option(8, "slots for experts; model.num_experts are alive at first", at_least=1)
        every: int = option(100, "updates between changes of the experts; 0: they never change", at_least=0)
        dropout: float = option(0.1, "dropout in the experts", at_least=0, below=1)

    served: Tensor
    unserved: Tensor

    def __init__(self, options: Options, make_network: Callable[[], Network], facts: Facts) -> None:
        super().__init__(options, make_network, facts)
        routers = self.routers()
        self.register_buffer("served", torch.zeros(len(routers), options.max_experts))
        self.register_buffer("unserved", torch.zeros(len(routers), routers[0].dim))

    def routers(self) -> list[TopAnyRouter]:
        """The routers of the network, by block."""
        found = [module for module in self.model.modules() if isinstance(module, TopAnyRouter)]
        if not found or any(router.num_experts != self.options.max_experts for router in found):
            kind = type(self.model).__name__
            raise ConfigError(
                f"DynMoE: needs top-any routers of {self.options.max_experts} experts; got {kind}"
            )
        return found

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropy and the term on the codes; counts what the experts processed."""
        output = self.ask(batch)
        if self.training and self.options.every:
            self._count(output)
        terms = {"task": self.cross_entropy(output.logits, batch.label)}
        routers = self.routers()
        if self.options.aux:
            each = [codebook_spread(router.codebook, router.alive) for router in routers]
            terms["aux"] = self.options.aux * torch.stack(each).sum()
        chosen = torch.cat([routing.chosen for routing in output.token_routings])
        alive = torch.stack([router.alive for router in routers])
        notes = {
            "experts_alive": alive.float().sum() / len(routers),
            "experts_of_a_token": chosen.sum() / max(len(chosen), 1),
        }
        return Answer(output, terms, notes)

    def _count(self, output: ModelOutput) -> None:
        served = torch.stack([routing.chosen.sum(dim=0) for routing in output.token_routings])
        unserved = torch.stack([routing.unserved for routing in output.token_routings])
        found = total(torch.cat([served.to(self.served.dtype), unserved.to(self.served.dtype)], dim=1))
        self.served += found[:, : served.shape[1]]
        self.unserved += found[:, served.shape[1] :]

    def stepped(self, now: Now) -> None:
        """Drop and revive experts after every ``every`` updates."""
        if not self.options.every or now.step % self.options.every:
            return
        for router, served, unserved in zip(self.routers(), self.served, self.unserved, strict=True):
            router.adapt(served, unserved)
        self.served.zero_()
        self.unserved.zero_()
