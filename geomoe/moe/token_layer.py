"""A layer of experts for tokens: each token goes through the experts that its router chooses.

Tokens are sorted by expert, so that each expert runs one matrix product on its own tokens. There is no loop
over tokens, and no padding to the largest load.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.moe.layer import draw_tokens, take_tokens
from geomoe.moe.stacked import StackedFFN
from geomoe.moe.token_router import CosineTokenRouter, TokenRouter
from geomoe.types import Experts, Routing, TokenRouting

Length = Literal["own", "unit"]

# If less than this share of an expert's output is new, the output has no direction of its own. It is then
# scaled up by at most the inverse of this number, so that rounding errors and their gradients stay small.
_LEAST_NEW = 1e-4
_TINY = 1e-12


class TokenMixture(NamedTuple):
    """What a layer returns.

    Attributes:
        y: (B, N, D) mixed output.
        routing: means over the tokens of each image.
        tokens: the decision for each of the B * N tokens.
        expert_outputs: (E, R, D) outputs of every expert on the same R rows, or None if not requested.
    """

    y: Tensor
    routing: Routing
    tokens: TokenRouting
    expert_outputs: Tensor | None


class TokenMoELayer(nn.Module):
    """Experts and their router of tokens: y(x) = sum_k g_k(x) f_k(x) over the chosen experts.

    Args:
        experts: E feed-forward networks.
        router: chooses among them.

    Raises:
        ConfigError: the router is for another number of experts.
    """

    def __init__(self, experts: StackedFFN, router: TokenRouter) -> None:
        super().__init__()
        if router.num_experts != experts.count:
            made = f"router: made for {router.num_experts} experts"
            raise ConfigError(f"{made}; the layer has {experts.count}")
        self.experts, self.router = experts, router

    @property
    def num_experts(self) -> int:
        """Number of experts, E."""
        return self.experts.count

    def forward(self, x: Tensor, experts: Experts = "all", cka_tokens: int | None = None) -> TokenMixture:
        """Route the tokens, run the experts, and mix their outputs.

        Args:
            x: (B, N, D) tokens.
            experts: "all", or the number of one expert, which then processes every token with the sum of the
                token's gate weights.
            cka_tokens: number of random tokens of each sample on which every expert is also run; 0, or
                more than N: all tokens; None: no ``expert_outputs``.
        """
        rows = x.flatten(0, 1)
        routing = self.router(rows)
        if experts == "all":
            y = self.mix(rows, routing)
        else:
            own = self.experts.alone(rows, int(experts))
            y = self.forced(own) * routing.weights.sum(dim=1, keepdim=True).to(own.dtype)
        outputs = None
        if cka_tokens is not None:
            drawn = take_tokens(x, draw_tokens(x, cka_tokens))
            outputs = self.experts.everywhere(drawn.flatten(0, 1))
        return TokenMixture(y.view_as(x), self.of_images(routing, len(x)), routing, outputs)

    def mix(self, rows: Tensor, routing: TokenRouting) -> Tensor:
        """Mix the outputs of the chosen experts: tokens (T, D) to (T, D)."""
        token, expert, outputs = self.run(rows, routing.chosen)
        gates = routing.weights[token, expert].to(outputs.dtype)
        return torch.zeros_like(rows, dtype=outputs.dtype).index_add(0, token, outputs * gates[:, None])

    def forced(self, outputs: Tensor) -> Tensor:
        """Outputs (T, D) of one expert as they are in a mixture of this expert alone."""
        return outputs

    # The number of tokens per expert differs from batch to batch, so the host has to know it.
    @torch.compiler.disable(recursive=False)
    def run(self, rows: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run each expert on its tokens.

        Returns:
            (P,) token, (P,) expert, ascending, and (P, D) output of each pair in ``chosen``.
        """
        expert, token = chosen.T.nonzero().unbind(dim=1)
        counts = chosen.sum(dim=0).tolist()
        return token, expert, torch.cat(self.experts(list(rows.index_select(0, token).split(counts))))

    def of_images(self, routing: TokenRouting, images: int) -> Routing:
        """The means over the tokens of each image, without gradient.

        An image of which no token is processed has the mean probabilities as its weights.
        """
        probs = self.router.probabilities(routing.scores.detach()).unflatten(0, (images, -1)).mean(dim=1)
        used = routing.weights.detach().unflatten(0, (images, -1)).sum(dim=1)
        sums = used.sum(dim=1, keepdim=True)
        weights = torch.where(sums > 0, used / sums.clamp(min=torch.finfo(used.dtype).tiny), probs)
        return Routing(weights, probs, probs.clamp(min=torch.finfo(probs.dtype).tiny).log())


class OrthogonalMoELayer(TokenMoELayer):
    """A :class:`TokenMoELayer` with orthogonal outputs: y(x) = sum_k g_k(x) q_k(x).

    Gram-Schmidt makes the q_k of a token from its experts' outputs f_k, in the order of the experts' numbers:

        w_k = f_k - sum_(j < k) <q_j, f_k> q_j,   q_k = w_k / |w_k|

    (MOORE, Hendawy et al., ICLR 2024, algorithm 1; OMoE, Feng et al., arXiv 2501.10062, does this to the
    experts of a transformer.) With length "own", q_k is afterwards scaled to the length of f_k; the
    projections always use the unit vectors. Everything is computed in float32 or wider.

    Args:
        experts: E feed-forward networks, not all equal.
        router: chooses the same number of experts, at least 2, for each token.
        length: "own" or "unit".

    Raises:
        ConfigError: the router is for another number of experts, limits their capacity or chooses only one.
    """

    def __init__(self, experts: StackedFFN, router: CosineTokenRouter, length: Length = "own") -> None:
        super().__init__(experts, router)
        if router.top_k < 2 or router.capacity:
            raise ConfigError(
                "top_k: orthogonal experts need at least 2 for each token, and no limit of capacity"
            )
        if length not in ("own", "unit"):
            raise ConfigError(f"length: expected own or unit; got {length!r}")
        self.length = length

    def mix(self, rows: Tensor, routing: TokenRouting) -> Tensor:
        """Mix the orthogonal outputs of the chosen experts."""
        token, expert, outputs = self.run(rows, routing.chosen)
        back = token.argsort(stable=True)  # by token, and of each token by expert
        outputs = outputs.index_select(0, back).view(len(rows), self.router.top_k, -1)
        gates = routing.weights[token, expert][back].view(len(rows), self.router.top_k)
        with torch.autocast(rows.device.type, enabled=False):
            found = orthogonal(outputs.to(torch.promote_types(outputs.dtype, torch.float32)), self.length)
            return (found * gates[:, :, None].to(found.dtype)).sum(dim=1).to(outputs.dtype)

    def forced(self, outputs: Tensor) -> Tensor:
        """Outputs (T, D) of one expert as they are in a mixture of this expert alone."""
        return outputs if self.length == "own" else nn.functional.normalize(outputs, dim=1)


def orthogonal(vectors: Tensor, length: Length = "own") -> Tensor:
    """Gram-Schmidt over the second dimension of (T, k, D): orthogonal directions, in that order.

    Args:
        vectors: (T, k, D).
        length: "own": each direction gets the length of its vector; "unit": length 1.

    Returns:
        (T, k, D). A vector that depends linearly on those before it gives (almost) zero.
    """
    basis: list[Tensor] = []
    for vector in vectors.unbind(dim=1):
        new = vector
        for other in basis:
            new = new - (other * vector).sum(dim=1, keepdim=True) * other
        floor = _LEAST_NEW * vector.detach().norm(dim=1, keepdim=True)
        size = _norm(new)
        basis.append(new / torch.where(size > floor, size, floor.clamp(min=_TINY)))
    found = torch.stack(basis, dim=1)
    return found * _norm(vectors) if length == "own" else found


def _norm(x: Tensor) -> Tensor:
    """Lengths along the last dimension, which is kept; the gradient of the length 0 is 0."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)
