"""Routers of tokens: from the tokens of images to the experts that process each of them.

``CosineTokenRouter`` is that of GMoE (Li et al., ICLR 2023, eq. 6, and the authors' code on Tutel),
``TopAnyRouter`` that of DynMoE (Guo et al., arXiv 2405.14297, section 3). Both compute in float32 or wider,
also under autocast.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.support.ranks import gathered, own, world
from geomoe.types import TokenRouting

_LEAST_TEMPERATURE = 0.01
_START_TEMPERATURE = 0.5
_CODE_STD = 0.01  # of the cosine router's codebook, whose rows are normalised before use


class TokenRouter(nn.Module):
    """Base class of routers of tokens.

    Args:
        dim: D, width of the tokens.
        num_experts: E.
    """

    num_experts: int
    top_k: int

    def __init__(self, dim: int, num_experts: int) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("num_experts", num_experts)):
            if value < 1:
                raise ConfigError(f"{name}: expected at least 1; got {value}")
        self.dim, self.num_experts = dim, num_experts

    def slots(self) -> Tensor:
        """(E,) bool, which slots hold an expert."""
        return torch.ones(self.num_experts, dtype=torch.bool)

    def forward(self, tokens: Tensor) -> TokenRouting:
        """Route tokens (T, D)."""
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
            return self.route(tokens)

    def route(self, tokens: Tensor) -> TokenRouting:
        """Route tokens (T, D) in float32 or wider."""
        raise NotImplementedError

    def probabilities(self, scores: Tensor) -> Tensor:
        """How likely each expert is for each token: scores (T, E) to (T, E), rows that sum to 1."""
        return scores.softmax(dim=1)


class CosineTokenRouter(TokenRouter):
    """The k experts whose codes are most similar to a projection of the token.

    Scores are cos(P x, e_k) / temperature; in training, Gaussian noise of standard deviation noise / E is
    added to them. The gate of a chosen expert is its share in a softmax over all experts; with k > 1 the
    gates of a token are divided by their sum. With equal scores the lower number comes first.

    In training an expert processes at most k * int(capacity * ceil(T / E)) tokens. First choices come before
    second ones, and among them tokens whose largest share is larger come first. A token over the capacity is
    not processed by that expert. With several processes, T counts the tokens of all of them. In evaluation
    there is no such limit, because otherwise the answer to an image would depend on the other images of its
    batch.

    Args:
        dim: D, width of the tokens.
        num_experts: E.
        top_k: k, 1 to E.
        projection: width of the projection.
        noise: noise in training; the scores of E experts get noise / E.
        capacity: limit on an expert's tokens, relative to an even load, which 1 stands for; 0: no limit.

    Raises:
        ConfigError: sizes below 1, top_k outside 1 to num_experts, negative noise or capacity.
    """

    def __init__(
        self,
        dim: int,
        num_experts: int,
        top_k: int = 1,
        projection: int = 256,
        noise: float = 1.0,
        capacity: float = 1.5,
    ) -> None:
        super().__init__(dim, num_experts)
        if not 1 <= top_k <= num_experts:
            raise ConfigError(f"top_k: expected 1 to num_experts = {num_experts}; got {top_k}")
        if projection < 1:
            raise ConfigError(f"projection: expected at least 1; got {projection}")
        for name, value in (("noise", noise), ("capacity", capacity)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name}: expected 0 or more; got {value}")
        self.top_k, self.noise, self.capacity = top_k, noise, capacity
        self.projection = nn.Linear(dim, projection)
        self.codebook = nn.Parameter(torch.randn(num_experts, projection) * _CODE_STD)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(_START_TEMPERATURE)))

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on a score."""
        return self.noise / self.num_experts

    def scores(self, tokens: Tensor) -> Tensor:
        """Scores (T, E) without noise."""
        weight, bias = (value.to(tokens.dtype) for value in (self.projection.weight, self.projection.bias))
        direction = functional.normalize(functional.linear(tokens, weight, bias), dim=1)
        cosine = direction @ functional.normalize(self.codebook.to(tokens.dtype), dim=1).T
        lowest = math.log(_LEAST_TEMPERATURE)
        return cosine * torch.exp(-self.log_temperature.to(tokens.dtype).clamp(min=lowest))

    def route(self, tokens: Tensor) -> TokenRouting:
        """Route tokens (T, D) in float32 or wider."""
        scores = self.scores(tokens)
        noisy = scores + self.noise_std * torch.randn_like(scores) if self.training and self.noise else scores
        shares = noisy.softmax(dim=1)
        ids = shares.detach().argsort(dim=1, descending=True, stable=True)[:, : self.top_k]
        gates = shares.gather(1, ids)
        if self.top_k > 1:
            gates = gates / gates.sum(dim=1, keepdim=True).clamp(min=torch.finfo(gates.dtype).eps)
        kept = torch.ones_like(ids, dtype=torch.bool)
        if self.training and self.capacity:
            kept = self.served(ids, shares.detach().amax(dim=1))
        weights = torch.zeros_like(shares).scatter(1, ids, torch.where(kept, gates, 0))
        chosen = torch.zeros_like(shares, dtype=torch.bool).scatter(1, ids, kept)
        return TokenRouting(scores, noisy, weights, chosen, _unserved(tokens, chosen))

    def served(self, ids: Tensor, importance: Tensor) -> Tensor:
        """Which choices the experts have room for among the tokens of all processes.

        Args:
            ids: (T, k) experts of each token of this process, the first choice first.
            importance: (T,) a token of larger importance is served first.

        Returns:
            (T, k) bool.
        """
        if world() > 1:
            return self._served_jointly(ids, importance)
        return within_capacity(ids, importance, self.num_experts, self.limit(len(ids)))

    # Processes wait for each other here, which cannot be compiled.
    @torch.compiler.disable
    def _served_jointly(self, ids: Tensor, importance: Tensor) -> Tensor:
        every = gathered(ids)
        return own(within_capacity(every, gathered(importance), self.num_experts, self.limit(len(every))))

    def limit(self, tokens: int) -> int:
        """The largest number of tokens that one expert processes, for a batch of ``tokens`` tokens."""
        return self.top_k * int(self.capacity * math.ceil(tokens / self.num_experts))


def within_capacity(ids: Tensor, importance: Tensor, num_experts: int, limit: int) -> Tensor:
    """Which choices the experts have room for.

    Args:
        ids: (T, k) experts of each token, the first choice first.
        importance: (T,) a token of larger importance is served first; of equal ones, the first.
        num_experts: E.
        limit: the largest number of tokens of one expert.

    Returns:
        (T, k) bool.
    """
    order = importance.argsort(descending=True, stable=True)
    queue = ids[order].T.flatten()  # first choices by importance, then second choices, ...
    by_expert = queue.argsort(stable=True)
    sizes = torch.zeros(num_experts, dtype=torch.long, device=ids.device)
    sizes = sizes.index_add(0, queue, torch.ones_like(queue))
    starts = sizes.cumsum(0) - sizes
    place = torch.empty_like(queue)
    place[by_expert] = torch.arange(len(queue), device=ids.device) - starts[queue[by_expert]]
    kept = torch.empty_like(ids, dtype=torch.bool)
    kept[order] = (place < limit).view(ids.shape[1], -1).T
    return kept


class TopAnyRouter(TokenRouter):
    """Every expert whose similarity to the token is above a threshold of its own; their plain mean.

    Expert k processes a token if sigmoid(cos(x, e_k)) > sigmoid(g_k), with code e_k and threshold g_k, both
    learned. Its gate is then 1, with the gradient of sigmoid(cos) - sigmoid(g), and the gates of a token are
    divided by their sum. Experts that are not ``alive`` process nothing. A token above no threshold is not
    processed in training; in evaluation the most similar expert processes it.

    Codes start as orthogonal unit vectors (as orthogonal as D allows), thresholds at 0.

    Args:
        dim: D, width of the tokens.
        num_experts: E, the largest number of experts.
        alive: number of experts at the start.

    Raises:
        ConfigError: sizes below 1, or ``alive`` above ``num_experts``.
    """

    alive: Tensor

    def __init__(self, dim: int, num_experts: int, alive: int | None = None) -> None:
        super().__init__(dim, num_experts)
        alive = num_experts if alive is None else alive
        if not 1 <= alive <= num_experts:
            raise ConfigError(f"max_experts: expected at least num_experts = {alive}; got {num_experts}")
        self.top_k = num_experts
        self.codebook = nn.Parameter(nn.init.orthogonal_(torch.empty(num_experts, dim)))
        self.threshold = nn.Parameter(torch.zeros(num_experts))
        self.register_buffer("alive", torch.arange(num_experts) < alive)

    def slots(self) -> Tensor:
        """(E,) bool, which slots hold an expert; the others are spare."""
        return self.alive

    def route(self, tokens: Tensor) -> TokenRouting:
        """Route tokens (T, D) in float32 or wider."""
        codes = functional.normalize(self.codebook.to(tokens.dtype), dim=1)
        scores = torch.sigmoid(functional.normalize(tokens, dim=1) @ codes.T)
        excess = functional.relu(scores - self.threshold.to(tokens.dtype).sigmoid())
        excess = torch.where(self.alive, excess, 0)
        gates = _StraightThroughSign.apply(excess)
        if not self.training:
            best = torch.where(self.alive, scores, -1).argmax(dim=1)
            alone = functional.one_hot(best, self.num_experts).to(gates.dtype)
            gates = torch.where(gates.any(dim=1, keepdim=True), gates, alone)
        chosen = gates.detach() > 0
        weights = gates / gates.sum(dim=1, keepdim=True).clamp(min=torch.finfo(gates.dtype).eps)
        return TokenRouting(scores, scores, weights, chosen, _unserved(tokens, chosen))

    def probabilities(self, scores: Tensor) -> Tensor:
        """The scores of the experts that are alive, divided by their sum."""
        alive = torch.where(self.alive, scores, 0)
        return alive / alive.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def adapt(self, served: Tensor, unserved: Tensor) -> None:
        """Drop the experts that processed no token, and revive one slot if no expert processed some tokens.

        The new expert's code is the direction of the sum of these tokens, and its threshold is 0; its weights
        are those that the slot already holds. The lowest free slot is used. The last expert is not dropped.

        Args:
            served: (E,) number of tokens that each expert processed since the last call.
            unserved: (D,) sum of the tokens that no expert processed.
        """
        left = self.alive & (served > 0)
        left = torch.where(left.any(), left, self.alive)
        free = (~left).nonzero()
        if len(free) and bool(unserved.any()):
            slot = int(free[0])
            self.codebook[slot] = functional.normalize(unserved, dim=0)
            self.threshold[slot] = 0
            left = left.clone()
            left[slot] = True
        self.alive.copy_(left)


class _StraightThroughSign(torch.autograd.Function):
    """The sign; its gradient is taken as 1."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return values.sign()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return slopes[0]


def _unserved(tokens: Tensor, chosen: Tensor) -> Tensor:
    missed = (~chosen.any(dim=1)).to(tokens.dtype)
    return missed @ tokens.detach()
