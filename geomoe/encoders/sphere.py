"""Encoders based on spherical harmonics: with a small MLP (``sh``) and with a SIREN (``sh-siren``)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from geomoe.coords import half_wave_km
from geomoe.encoders.base import LocationEncoder, check_size, mlp_head
from geomoe.encoders.grid import GridLinear
from geomoe.encoders.harmonics import SphericalHarmonics
from geomoe.encoders.siren import SirenNet

#: The mean square of an orthonormal harmonic over the sphere is 1 / (4 pi), so this makes it 1.
_STANDARD = math.sqrt(4 * math.pi)

#: Places evaluated at a time in float64 before they are rounded to float32.
_CHUNK = 4096


class _HarmonicEncoder(LocationEncoder):
    """Orthonormal harmonics, standardised by a constant that needs no data, then a head.

    Over the area of the Earth every feature except the constant one has mean 0 and variance 1, and all
    pairs are uncorrelated.
    """

    def __init__(
        self, legendre_polys: int = 10, hidden_dim: int = 128, out_dim: int = 64, noise: float = 0.0
    ) -> None:
        check_size("legendre_polys", legendre_polys)
        head = self._make_head(legendre_polys**2, hidden_dim, out_dim)
        super().__init__(legendre_polys**2, out_dim, head, noise=noise)
        self.harmonics = SphericalHarmonics(legendre_polys, "orthonormal")

    @property
    def resolution_km(self) -> float:
        """Half a wave of the highest degree, in km: pi R / (L - 1), with R the radius of the Earth."""
        return half_wave_km(self.harmonics.legendre_polys - 1)

    def _features(self, lonlat: Tensor) -> Tensor:
        # Evaluated in float64: near the poles float32 recurrences lose three digits at L = 40.
        parts = [(self.harmonics(part) * _STANDARD).float() for part in lonlat.split(_CHUNK)]
        return torch.cat(parts)

    def _make_head(self, feature_dim: int, hidden_dim: int, out_dim: int) -> nn.Module:
        """Make the head, which maps features to the embedding."""
        raise NotImplementedError

    def _first(self) -> tuple[Tensor, Tensor]:
        """Weight (O, F) and bias (O,) of the head's first linear map."""
        raise NotImplementedError

    def _after_first(self, linear: Tensor) -> Tensor:
        """Run the rest of the head on the output (B, O) of its first linear map."""
        raise NotImplementedError

    def _prepare_grid(self, lon: Tensor) -> GridLinear:
        weight, bias = self._first()
        return GridLinear(self.harmonics, weight.double() * _STANDARD, bias, lon)

    def _grid_rows(self, prepared: GridLinear, lat: Tensor) -> Tensor:
        return self._after_first(prepared(lat))


class SphereEncoder(_HarmonicEncoder):
    """``sh``: standardised spherical harmonics, linear, GELU, linear, LayerNorm.

    Args:
        legendre_polys: L; degree l has features of about 20,000 / l km.
        hidden_dim: width of the hidden layer.
        out_dim: width of the embedding.
        noise: standard deviation of the noise on the features, in training.
    """

    def _make_head(self, feature_dim: int, hidden_dim: int, out_dim: int) -> nn.Module:
        return mlp_head(feature_dim, hidden_dim, out_dim)

    def _first(self) -> tuple[Tensor, Tensor]:
        return self.head[0].weight, self.head[0].bias  # type: ignore[index,return-value]

    def _after_first(self, linear: Tensor) -> Tensor:
        return self.head[1:](linear)  # type: ignore[index,operator]


class SphereSirenEncoder(_HarmonicEncoder):
    """``sh-siren``: standardised spherical harmonics, a trainable SIREN, LayerNorm.

    The architecture of SatCLIP's location encoder (Klemmer et al. 2025), without pretrained weights.

    Args:
        legendre_polys: L; degree l has features of about 20,000 / l km.
        hidden_dim: width of the two hidden layers.
        out_dim: width of the embedding.
        noise: standard deviation of the noise on the features, in training.
    """

    def _make_head(self, feature_dim: int, hidden_dim: int, out_dim: int) -> nn.Module:
        check_size("hidden_dim", hidden_dim)
        check_size("out_dim", out_dim)
        return _SirenHead(feature_dim, hidden_dim, out_dim)

    def _first(self) -> tuple[Tensor, Tensor]:
        first = self.head.siren.first  # type: ignore[union-attr]
        return first.weight, first.bias  # type: ignore[union-attr,return-value]

    def _after_first(self, linear: Tensor) -> Tensor:
        return self.head.norm(self.head.siren.after_first(linear))  # type: ignore[operator,union-attr]


class _SirenHead(nn.Module):
    def __init__(self, feature_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.siren = SirenNet(feature_dim, hidden_dim, out_dim)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) to (B, L)."""
        return self.norm(self.siren(features))


__all__ = ["SphereEncoder", "SphereSirenEncoder"]
