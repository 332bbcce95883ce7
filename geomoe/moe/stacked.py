"""Experts of one shape, with their weights stacked in a few large tensors.

An expert without tokens is then a part of a tensor with gradient zero, not a parameter without gradient, so
distributed training finds no unused parameter; and the optimiser sees four tensors, however many experts.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.moe.experts import copy_experts


class StackedLinear(nn.Module):
    """E parallel linear layers, each initialised like ``nn.Linear``.

    Args:
        count: E.
        inputs: width of the input.
        outputs: width of the output.
    """

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(count, outputs))
        bound = 1 / math.sqrt(inputs)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(E, B, inputs) to (E, B, outputs)."""
        return torch.baddbmm(self.bias[:, None], x, self.weight.mT)

    def each(self) -> list[tuple[Tensor, Tensor]]:
        """Weight (outputs, inputs) and bias (outputs,) of each layer."""
        return list(zip(self.weight.unbind(), self.bias.unbind(), strict=True))


class StackedFFN(nn.Module):
    """E copies of a transformer's feed-forward network: linear, activation, dropout, linear.

    Args:
        ffn: the network to copy, with ``fc1``, ``act`` and ``fc2`` and nothing else that computes, such as
            timm's Mlp; it is not changed.
        count: E.
        noise: see :func:`geomoe.moe.copy_experts`.
        dropout: dropout of the hidden layer, 0 to below 1.

    Raises:
        ConfigError: another kind of network, count below 1, negative noise, or dropout out of range.
    """

    def __init__(self, ffn: nn.Module, count: int, noise: float = 0.02, dropout: float = 0.0) -> None:
        super().__init__()
        parts = (getattr(ffn, name, None) for name in ("fc1", "act", "fc2"))
        first, activation, second = parts
        plain = isinstance(getattr(ffn, "norm", nn.Identity()), nn.Identity)
        if not (
            isinstance(first, nn.Linear)
            and isinstance(activation, nn.Module)
            and isinstance(second, nn.Linear)
            and plain
            and first.out_features == second.in_features
        ):
            kind = type(ffn).__name__
            raise ConfigError(
                f"experts: expected an FFN of linear, activation, linear (timm's Mlp); got a {kind}"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout: expected a share from 0 to below 1; got {dropout}")
        copies = copy_experts(ffn, count, noise)
        self.first = _stacked([cast("nn.Linear", copy.get_submodule("fc1")) for copy in copies])
        self.second = _stacked([cast("nn.Linear", copy.get_submodule("fc2")) for copy in copies])
        self.activation = activation
        self.dropout = nn.Dropout(dropout)

    @property
    def count(self) -> int:
        """Number of experts, E."""
        return len(self.first.weight)

    @property
    def width(self) -> int:
        """Width D of the tokens."""
        return self.first.weight.shape[2]

    def forward(self, rows: list[Tensor]) -> list[Tensor]:
        """Run expert k on its own rows (n_k, D); n_k may be 0."""
        found = zip(rows, self.first.each(), self.second.each(), strict=True)
        return [functional.linear(self._hidden(x, *first), *second) for x, first, second in found]

    def everywhere(self, rows: Tensor) -> Tensor:
        """Run every expert on the same rows: (n, D) to (E, n, D)."""
        return torch.stack(self([rows] * self.count))

    def alone(self, rows: Tensor, expert: int) -> Tensor:
        """Run one expert on rows (n, D)."""
        first, second = self.first.each()[expert], self.second.each()[expert]
        return functional.linear(self._hidden(rows, *first), *second)

    def _hidden(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.dropout(self.activation(functional.linear(x, weight, bias)))


def _stacked(layers: list[nn.Linear]) -> StackedLinear:
    like = layers[0]
    made = StackedLinear(len(layers), like.in_features, like.out_features)
    made = made.to(like.weight.device, like.weight.dtype)
    with torch.no_grad():
        for k, layer in enumerate(layers):
            made.weight[k] = layer.weight
            made.bias[k] = 0 if like.bias is None else layer.bias
    return made
