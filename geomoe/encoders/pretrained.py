"""Shared parts of encoders with pretrained weights: freezing and constant standardisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from geomoe.encoders.base import LocationEncoder, fibonacci_lattice, mlp_head

if TYPE_CHECKING:
    from typing import Self

#: Number of places over which pretrained features are standardised: about 4.5 degrees apart.
_LATTICE = 2048


class Freezable(nn.Module):
    """A module that can be frozen: no gradients, and always in eval mode, whatever mode its parent is in."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False

    def freeze(self) -> Self:
        """Freeze permanently: dropout stays off even when a trainer calls ``train()`` on the model."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, unless frozen."""
        return super().train(mode and not self.frozen)


class PretrainedOptions(TypedDict, total=False):
    """Options of every pretrained encoder; :class:`PretrainedEncoder` describes them."""

    hidden_dim: int
    out_dim: int
    noise: float
    freeze: bool
    measure: bool


class PretrainedEncoder(LocationEncoder):
    """A pretrained network of places, standardisation of its features, then the MLP.

    Each feature is scaled to mean 0 and variance 1 over an even lattice of the whole sphere. The constants
    depend only on the weights, not on any data set, and are saved with the model.

    Args:
        network: (B, 2) float64 lonlat to (B, F).
        feature_dim: F.
        hidden_dim: width of the head's hidden layer.
        out_dim: width of the embedding.
        noise: standard deviation of the noise on the standardised features, in training.
        freeze: keep the network fixed; if not, it is trained with the head.
        measure: compute the constants now; if not, they have to be loaded from a saved state.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Freezable,
        feature_dim: int,
        *,
        hidden_dim: int = 128,
        out_dim: int = 64,
        noise: float = 0.0,
        freeze: bool = True,
        measure: bool = True,
    ) -> None:
        head = mlp_head(feature_dim, hidden_dim, out_dim)
        super().__init__(feature_dim, out_dim, head, noise=noise, freeze=freeze)
        self.network = network.freeze() if freeze else network
        mean, std = torch.zeros(feature_dim), torch.ones(feature_dim)
        if measure:
            mode = network.training
            with torch.no_grad():
                everywhere = network.eval()(fibonacci_lattice(_LATTICE)).double()
            network.train(mode)
            mean, std = everywhere.mean(dim=0).float(), everywhere.std(dim=0).float()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std.clamp(min=1e-6))

    def standardise(self, raw: Tensor) -> Tensor:
        """Convert the network's output (B, F) to standardised float32 features."""
        return (raw.float() - self.mean) / self.std

    def _features(self, lonlat: Tensor) -> Tensor:
        return self.standardise(self.network(lonlat))
