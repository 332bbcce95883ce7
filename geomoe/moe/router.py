"""Routers: from a location embedding to the chosen experts and their weights.

Poster "MoGE: Mixture of Geographical Experts", block i: the gates alpha_k(phi(m)). The cosine router
compares the embedding with a learned codebook, as in GMoE (Li et al. 2023, eq. 6).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.types import Routing

#: The learned temperature stays between these, on a logarithmic scale.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 1.0

# Embeddings with a smaller norm are scaled to less than unit length, so that their logits are smaller too.
# For an embedding of zeros all logits are 0, and the gradient is finite.
_NORM_FLOOR = 1e-3


class Router(nn.Module):
    """Base class of routers: the top-k of the scores, then a softmax over these.

    Args:
        dim: L, width of the location embedding.
        num_experts: E.
        top_k: K, experts chosen for a sample, 1 to E. With K = 1 the gate is always 1, so that only the
            load-balancing loss trains the router.

    Raises:
        ConfigError: dim or num_experts below 1, top_k outside 1 to num_experts.
    """

    def __init__(self, dim: int, num_experts: int, top_k: int) -> None:
        super().__init__()
        if dim < 1:
            raise ConfigError(f"dim: expected the width of the location embedding, at least 1; got {dim}")
        if num_experts < 1:
            raise ConfigError(f"num_experts: expected at least 1; got {num_experts}")
        if not 1 <= top_k <= num_experts:
            raise ConfigError(f"top_k: expected 1 to num_experts = {num_experts}; got {top_k}")
        self.dim, self.num_experts, self.top_k = dim, num_experts, top_k

    def scores(self, embedding: Tensor) -> Tensor:
        """Logits (B, E) of embeddings (B, L) in float32 or wider."""
        raise NotImplementedError

    def forward(self, embedding: Tensor) -> Routing:
        """Route a batch of embeddings (B, L); always in float32 or wider, also under autocast."""
        with torch.autocast(embedding.device.type, enabled=False):
            logits = self.scores(embedding.to(torch.promote_types(embedding.dtype, torch.float32)))
            top = logits.topk(self.top_k, dim=1)
            weights = torch.zeros_like(logits).scatter(1, top.indices, top.values.softmax(dim=1))
            return Routing(weights, logits.softmax(dim=1), logits)

    def extra_repr(self) -> str:
        """Describe the router for ``print(router)``."""
        return f"dim={self.dim}, num_experts={self.num_experts}, top_k={self.top_k}"


class CosineRouter(Router):
    """Cosine similarity with a learned codebook, divided by a learned temperature.

    A sigmoid on a logarithmic scale keeps the temperature between 0.01 and 1: it cannot leave this range
    and, unlike with clamping, cannot get stuck at an end of it.

    Args:
        dim: L, width of the location embedding.
        num_experts: E, rows of the codebook.
        top_k: K, experts chosen for a sample.
        temperature: initial temperature, strictly between 0.01 and 1.

    Raises:
        ConfigError: see :class:`Router`; a temperature outside its range.
    """

    def __init__(self, dim: int, num_experts: int, top_k: int, temperature: float = 0.1) -> None:
        super().__init__(dim, num_experts, top_k)
        if not MIN_TEMPERATURE < temperature < MAX_TEMPERATURE:
            span = f"strictly between {MIN_TEMPERATURE} and {MAX_TEMPERATURE}"
            raise ConfigError(f"temperature: expected a number {span}; got {temperature}")
        share = math.log(temperature / MIN_TEMPERATURE) / math.log(MAX_TEMPERATURE / MIN_TEMPERATURE)
        self.codebook = nn.Parameter(torch.randn(num_experts, dim))
        self.raw_temperature = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    @property
    def temperature(self) -> Tensor:
        """() current temperature."""
        raw = self.raw_temperature.to(torch.promote_types(self.raw_temperature.dtype, torch.float32))
        return MIN_TEMPERATURE * torch.exp(math.log(MAX_TEMPERATURE / MIN_TEMPERATURE) * raw.sigmoid())

    def scores(self, embedding: Tensor) -> Tensor:
        """Logits (B, E): cos(embedding, codebook row) / temperature."""
        cosine = _direction(embedding) @ _direction(self.codebook.to(embedding.dtype)).T
        return cosine / self.temperature.to(embedding.dtype)


class LinearRouter(Router):
    """A linear map of the embedding; arguments and errors as in :class:`Router`."""

    def __init__(self, dim: int, num_experts: int, top_k: int) -> None:
        super().__init__(dim, num_experts, top_k)
        self.linear = nn.Linear(dim, num_experts)

    def scores(self, embedding: Tensor) -> Tensor:
        """Logits (B, E)."""
        weight, bias = self.linear.weight.to(embedding.dtype), self.linear.bias.to(embedding.dtype)
        return nn.functional.linear(embedding, weight, bias)


def _direction(x: Tensor) -> Tensor:
    """Rows scaled to length 1; those shorter than the floor are scaled to less."""
    return nn.functional.normalize(x, dim=1, eps=_NORM_FLOOR)


#: Router classes by their name in configurations.
ROUTERS: dict[str, type[Router]] = {"cosine": CosineRouter, "linear": LinearRouter}


def create_router(name: str, dim: int, num_experts: int, top_k: int) -> Router:
    """Build a router by name.

    Args:
        name: "cosine" or "linear".
        dim: width L of the location embeddings (B, L).
        num_experts: E, experts to choose from.
        top_k: K, experts of a sample, 1 to E.

    Raises:
        ConfigError: unknown name, or invalid sizes.
    """
    if name not in ROUTERS:
        raise ConfigError(f"router: expected one of {', '.join(ROUTERS)}; got {name!r}")
    return ROUTERS[name](dim, num_experts, top_k)
