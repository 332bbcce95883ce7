"""The MoGE layer: a shared expert, and specialists chosen by place.

Poster "MoGE: Mixture of Geographical Experts", block i:
f(x, m) = gamma f_0(x) + (1 - gamma) sum_k alpha_k(phi(m)) f_k(x).

The gates depend only on the place, so that all tokens of a sample go to the same K experts. Each expert
runs on the samples routed to it, and its outputs are added back to them. It does not see other samples,
except for the few tokens that the diversity loss needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.moe.router import Router
from geomoe.support.text import counted
from geomoe.types import Experts, Routing


class MoGEResult(NamedTuple):
    """What a MoGE layer returns.

    Attributes:
        y: (B, N, D) mixed output.
        routing: the router's decision; None if no embedding was given (shared expert alone).
        shared_feature: (B, D) token mean of the shared expert's output, or None if not requested.
        expert_outputs: (E, R, D) outputs of every expert on the same R rows, or None if not requested.
    """

    y: Tensor
    routing: Routing | None
    shared_feature: Tensor | None
    expert_outputs: Tensor | None


class Plan(NamedTuple):
    """Which experts process which samples in one layer; it depends on the place, not on the image.

    Attributes:
        routing: the router's decision, or None.
        own: (B,) weight of the shared expert.
        order: (E, B) for each expert the rows of all samples; those routed to it come first.
        gates: (E, B) each expert's weight for the samples in that order.
        counts: number of samples routed to each expert; None: only the shared expert is used.
    """

    routing: Routing | None
    own: Tensor
    order: Tensor
    gates: Tensor
    counts: tuple[int, ...] | None


class MoGELayer(nn.Module):
    """Specialists, their router and gamma; the shared expert is an argument of :meth:`forward`.

    Args:
        experts: E feed-forward networks that process each token independently, (..., D) to (..., D).
        router: chooses among them.
        gamma: weight of the shared expert, 0 to 1.
        learn_gamma: learn gamma, through a sigmoid, starting from that value; then 0 and 1 are not allowed.

    Raises:
        ConfigError: gamma is out of range, or the router is for another number of experts.
    """

    fixed_gamma: Tensor

    def __init__(
        self, experts: Iterable[nn.Module], router: Router, gamma: float = 0.5, learn_gamma: bool = False
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.router = router
        if router.num_experts != len(self.experts):
            raise ConfigError(
                f"router: made for {counted(router.num_experts, 'expert')}; the layer has {len(self.experts)}"
            )
        check_gamma(gamma, learn_gamma)
        self.learn_gamma = learn_gamma
        if learn_gamma:
            self.raw_gamma = nn.Parameter(torch.tensor(math.log(gamma / (1 - gamma))))
        else:
            self.register_buffer("fixed_gamma", torch.tensor(float(gamma)))

    @property
    def num_experts(self) -> int:
        """E, number of specialists; the shared expert is not counted."""
        return len(self.experts)

    @property
    def shared_weight(self) -> Tensor:
        """() current value of gamma."""
        return self.raw_gamma.sigmoid() if self.learn_gamma else self.fixed_gamma

    def forward(
        self,
        x: Tensor,
        embedding: Tensor | None,
        shared: nn.Module,
        experts: Experts = "all",
        drop: Tensor | None = None,
        cka_tokens: int | None = None,
        shared_feature: bool = True,
    ) -> MoGEResult:
        """Route the samples, run the experts, and mix their outputs.

        Args:
            x: (B, N, D) tokens.
            embedding: (B, L) location embedding; None only with experts="shared".
            shared: the shared expert f_0.
            experts: "all", "shared" (only f_0, with weight 1) or the number k of one specialist
                (gamma f_0 + (1 - gamma) f_k for every sample).
            drop: (B,) bool, samples that use only f_0, with weight 1 (expert dropout).
            cka_tokens: number of random tokens of each sample on which every expert is also run; 0, or
                more than N: all tokens; None: no ``expert_outputs``.
            shared_feature: whether to return the shared expert's token mean.

        Returns:
            The mixed tokens and the values for the losses. ``expert_outputs`` has R = B * tokens rows.

        Raises:
            ConfigError: unknown expert, missing embedding, or a negative number of tokens.
        """
        return self.mix(x, self.plan(embedding, len(x), experts, drop), shared, cka_tokens, shared_feature)

    def plan(
        self, embedding: Tensor | None, batch: int, experts: Experts = "all", drop: Tensor | None = None
    ) -> Plan:
        """Assign samples to experts, before the image is processed (arguments as in :meth:`forward`).

        The host waits for the device only here: it has to know how many samples go to each expert. A
        network makes the plans of all its blocks before it processes the image.
        """
        check_experts(experts, self.num_experts)
        routing = None if embedding is None else self.router(embedding)
        gamma = self.shared_weight
        if experts == "shared":
            own = torch.ones(batch, device=gamma.device)
            empty = own.new_zeros(self.num_experts, 0)
            return Plan(routing, own, empty.long(), empty, None)
        if isinstance(experts, int):
            weights = torch.zeros(batch, self.num_experts, device=gamma.device)
            weights[:, experts] = 1
        elif routing is None:
            raise ConfigError(
                "embedding: experts='all' routes by place; give an embedding or experts='shared'"
            )
        else:
            weights = routing.weights
        sent = weights.detach() > 0
        own = gamma.expand(batch)
        if drop is not None:
            sent = sent & ~drop[:, None]
            own = torch.where(drop, torch.ones_like(own), own)
        order = (~sent).T.to(torch.uint8).argsort(dim=1, stable=True)
        gates = ((1 - gamma) * weights).T.gather(1, order)
        return Plan(routing, own, order, gates, _counts(sent))

    def mix(
        self,
        x: Tensor,
        plan: Plan,
        shared: nn.Module,
        cka_tokens: int | None = None,
        shared_feature: bool = True,
    ) -> MoGEResult:
        """Run the experts as planned (arguments as in :meth:`forward`)."""
        first = shared(x)
        feature = first.mean(dim=1) if shared_feature else None
        tokens = None if cka_tokens is None else draw_tokens(x, cka_tokens)
        if plan.counts is None:
            outputs = None if tokens is None else self._everywhere(x, tokens)
            return MoGEResult(first, plan.routing, feature, outputs)
        y = first * plan.own.to(first.dtype)[:, None, None]
        outputs = self._dispatch(x, y, plan, tokens)
        return MoGEResult(y, plan.routing, feature, outputs)

    # The number of samples per expert differs from batch to batch: the loop stays in Python, and only the
    # experts are compiled.
    @torch.compiler.disable(recursive=False)
    def _dispatch(self, x: Tensor, y: Tensor, plan: Plan, tokens: Tensor | None) -> Tensor | None:
        """Add the specialists' outputs to y, in place; collect every expert's output on the tokens.

        An expert without samples runs on zero rows: it stays in the graph with zero gradients, so that
        distributed training finds no unused parameter.
        """
        counts = plan.counts or ()
        sent = [rows[:n] for rows, n in zip(plan.order, counts, strict=True)]
        mine = x.index_select(0, torch.cat(sent)).split(counts)
        seen = None if tokens is None else _Seen(x, plan, counts, tokens)
        for k, expert in enumerate(self.experts):
            out = expert(mine[k]) if seen is None else seen.run(k, expert, mine[k])
            gate = plan.gates[k, : counts[k]].to(out.dtype)[:, None, None]
            y.index_add_(0, sent[k], (out * gate).to(y.dtype))
        return None if seen is None else seen.outputs()

    def _everywhere(self, x: Tensor, tokens: Tensor) -> Tensor:
        rows = take_tokens(x, tokens).flatten(0, 1)
        return torch.stack([expert(rows) for expert in self.experts])


class _Seen:
    """Every expert's output on the same tokens; outputs that dispatch computes anyway are reused.

    An expert's own samples already have all tokens; the tokens of the other samples are appended to its
    rows, so that it still runs one matrix product.
    """

    def __init__(self, x: Tensor, plan: Plan, counts: tuple[int, ...], tokens: Tensor) -> None:
        self.tokens, self.order, self.counts = tokens, plan.order, counts
        rest = [rows[n:] for rows, n in zip(plan.order, counts, strict=True)]
        sampled = take_tokens(x, tokens)
        self.rest = sampled.index_select(0, torch.cat(rest)).split([len(rows) for rows in rest])
        self.back = plan.order.argsort(dim=1)
        self.found: list[Tensor] = []

    @torch.compiler.disable(recursive=False)  # as MoGELayer._dispatch
    def run(self, k: int, expert: nn.Module, mine: Tensor) -> Tensor:
        """Run expert k on its samples (n, N, D) and the tokens of the others; store the tokens' outputs."""
        rest = self.rest[k]
        own_rows, rest_rows = mine.flatten(0, 1), rest.flatten(0, 1)
        out, extra = expert(torch.cat([own_rows, rest_rows])).split([len(own_rows), len(rest_rows)])
        out, extra = out.reshape(mine.shape), extra.reshape(rest.shape)
        own = take_tokens(out, self.tokens[self.order[k, : self.counts[k]]])
        self.found.append(torch.cat([own, extra]).index_select(0, self.back[k]).flatten(0, 1))
        return out

    def outputs(self) -> Tensor:
        """(E, B * tokens, D) the stored outputs."""
        return torch.stack(self.found)


@torch.compiler.disable(recursive=False)
def _counts(sent: Tensor) -> tuple[int, ...]:
    return tuple(sent.sum(dim=0).tolist())


def draw_tokens(x: Tensor, number: int) -> Tensor:
    """(B, number) random token ids of each sample, without repeats; 0: all tokens, in order.

    Raises:
        ConfigError: a negative number.
    """
    batch, total = x.shape[:2]
    if number < 0:
        raise ConfigError(f"cka_tokens: expected 0 (all) or more; got {number}")
    if number == 0 or number >= total:
        return torch.arange(total, device=x.device).expand(batch, -1)
    return torch.rand(batch, total, device=x.device).topk(number, dim=1).indices


def take_tokens(x: Tensor, tokens: Tensor) -> Tensor:
    """Tokens (B, t) of x (B, N, D): (B, t, D)."""
    return x.gather(1, tokens[:, :, None].expand(-1, -1, x.shape[2]))


def check_experts(experts: Experts, num_experts: int) -> None:
    """Check a choice of experts.

    Raises:
        ConfigError: neither "all", "shared" nor a number from 0 to num_experts - 1.
    """
    number = isinstance(experts, int) and not isinstance(experts, bool)
    if not (experts in ("all", "shared") or (number and 0 <= int(experts) < num_experts)):
        last = num_experts - 1
        raise ConfigError(f"experts: expected all, shared or a number from 0 to {last}; got {experts!r}")


def check_gamma(gamma: float, learn: bool) -> None:
    """Check the weight of the shared expert.

    Raises:
        ConfigError: gamma is outside [0, 1], or is 0 or 1 although it is learned.
    """
    if not 0 <= gamma <= 1:
        raise ConfigError(f"gamma: expected 0 to 1; got {gamma}")
    if learn and gamma in (0, 1):
        raise ConfigError(f"gamma: to be learned it has to start strictly between 0 and 1; got {gamma}")
