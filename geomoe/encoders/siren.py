"""SIREN: a multilayer perceptron with sine activations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError


class SirenLayer(nn.Module):
    """sin(w0 (W x + b)), or W x + b alone for the last layer of a network.

    Args:
        dim_in: width of the input.
        dim_out: width of the output.
        w0: frequency; None: no sine, initialised as if it were 1.
        first: whether the inputs are features and not activations of another layer. The initial weights
            are uniform within 1 / dim_in if so, else within sqrt(6 / dim_in) / w0.
        dropout: share of the values dropped in training, before the sine.
    """

    def __init__(
        self, dim_in: int, dim_out: int, *, w0: float | None, first: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        bound = 1 / dim_in if first else math.sqrt(6 / dim_in) / (w0 or 1.0)
        self.weight = nn.Parameter(torch.empty(dim_out, dim_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(dim_out).uniform_(-bound, bound))
        self.w0 = w0
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in) to (B, dim_out)."""
        return self.activate(functional.linear(x, self.weight, self.bias))

    def activate(self, linear: Tensor) -> Tensor:
        """Apply dropout and sine to the linear map's output (B, dim_out), whose storage may be reused."""
        if self.training and self.dropout > 0:
            linear = functional.dropout(linear, self.dropout)
        if self.w0 is None:
            return linear
        if torch.is_grad_enabled() and linear.requires_grad:
            return torch.sin(self.w0 * linear)
        return linear.mul_(self.w0).sin_()


class SirenNet(nn.Module):
    """A SIREN (Sitzmann et al. 2020, arXiv 2006.09661) as SatCLIP uses it.

    Args:
        dim_in: width of the input features.
        dim_hidden: width of the hidden layers.
        dim_out: width of the output, which has no activation.
        num_layers: hidden layers, at least 1.
        w0: frequency of the hidden layers after the first.
        w0_initial: frequency of the first layer.
        dropout: share of hidden values dropped in training, before each sine.

    Raises:
        ConfigError: a width or number of layers below 1, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        dim_in: int,
        dim_hidden: int,
        dim_out: int,
        num_layers: int = 2,
        *,
        w0: float = 1.0,
        w0_initial: float = 30.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"dim_in": dim_in, "dim_hidden": dim_hidden, "dim_out": dim_out, "num_layers": num_layers}
        bad = [f"{name}={value}" for name, value in sizes.items() if value < 1]
        if bad:
            msg = f"SirenNet: expected positive sizes; got {', '.join(bad)}"
            raise ConfigError(msg)
        if not 0 <= dropout < 1:
            msg = f"SirenNet: expected a dropout in [0, 1); got {dropout}"
            raise ConfigError(msg)
        first = SirenLayer(dim_in, dim_hidden, w0=w0_initial, first=True, dropout=dropout)
        hidden = [SirenLayer(dim_hidden, dim_hidden, w0=w0, dropout=dropout) for _ in range(num_layers - 1)]
        self.layers = nn.ModuleList([first, *hidden])
        self.last_layer = SirenLayer(dim_hidden, dim_out, w0=None)

    @property
    def first(self) -> SirenLayer:
        """The layer that reads the features."""
        layer = self.layers[0]
        assert isinstance(layer, SirenLayer)  # for the type checker
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in) features to (B, dim_out)."""
        return self.after_first(functional.linear(x, self.first.weight, self.first.bias))

    def after_first(self, linear: Tensor) -> Tensor:
        """Run the network after its first linear map, whose output (B, dim_hidden) may be reused."""
        x = self.first.activate(linear)
        for layer in self.layers[1:]:
            x = layer(x)
        return self.last_layer(x)
