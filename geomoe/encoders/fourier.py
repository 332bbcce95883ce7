"""``fourier``: plane waves through the Earth, with wavelengths chosen in km, for data of one region."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.coords import HALF_TURN_KM
from geomoe.encoders.base import LocationEncoder, fibonacci_lattice, mlp_head
from geomoe.encoders.harmonics import unit_vector
from geomoe.errors import ConfigError

#: Number of waves; each gives two features, a cosine and a sine.
WAVES = 128
#: The longest waves are 2 ** OCTAVES times as long as the shortest, or reach around the Earth.
OCTAVES = 5
#: Step that orders the wave numbers: 1 / plastic number. Its ratio to the step between directions is
#: irrational, so that wave numbers and directions form no common pattern.
_STEP = 0.7548776662466927


class FourierEncoder(LocationEncoder):
    """Cosine and sine of waves k u . x at the place's unit vector x, standardised, then the MLP.

    Fourier features (Rahimi & Recht 2007; Tancik et al. 2020, arXiv 2006.10739) in three dimensions, so that
    poles and antimeridian are ordinary places. The directions u are spread evenly over half the sphere (u and
    -u give the same features), and the wave numbers k evenly between those of the longest and the shortest
    wave; nothing is random. On the ground, half a wave is shortest in the direction of u: pi R / k, with R
    the radius of the Earth. This is ``finest_km`` for the largest k.

    Over the sphere the mean of cos(k u . x) is sin(k) / k and its mean square (1 + sin(2k) / (2k)) / 2; the
    features are standardised by these.

    Args:
        finest_km: half the length of the shortest wave in km.
        hidden_dim: width of the hidden layer.
        out_dim: width of the embedding.
        noise: standard deviation of the noise on the features, in training.

    Raises:
        ConfigError: no ``finest_km``, or one that is not from 0.01 km to half the way around the Earth.
    """

    waves: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, finest_km: float | None, hidden_dim: int = 128, out_dim: int = 64, noise: float = 0.0
    ) -> None:
        if finest_km is None:
            msg = "finest_km: the encoder fourier needs the km of the finest detail, such as 50"
            raise ConfigError(msg)
        if isinstance(finest_km, bool) or not 0.01 <= finest_km <= HALF_TURN_KM:
            msg = f"finest_km: expected km from 0.01 to {HALF_TURN_KM:,.0f}; got {finest_km!r}"
            raise ConfigError(msg)
        super().__init__(2 * WAVES, out_dim, mlp_head(2 * WAVES, hidden_dim, out_dim), noise=noise)
        self.finest_km = float(finest_km)
        number = HALF_TURN_KM / self.finest_km * _shares(HALF_TURN_KM / self.finest_km)
        direction = fibonacci_lattice(2 * WAVES)[:WAVES]
        self.register_buffer("waves", number * torch.stack(unit_vector(direction)), persistent=False)
        mean = torch.sin(number) / number
        swing = torch.sin(2 * number) / (2 * number)
        spread = torch.cat([(1 + swing) / 2 - mean.square(), (1 - swing) / 2]).sqrt()
        self.register_buffer("mean", torch.cat([mean, torch.zeros_like(mean)]), persistent=False)
        self.register_buffer("std", spread, persistent=False)

    @property
    def resolution_km(self) -> float:
        """Half the length of the shortest wave, in km."""
        return self.finest_km

    def _features(self, lonlat: Tensor) -> Tensor:
        # In float64: with 10 km, float32 would lose three digits of the phase.
        phase = torch.stack(unit_vector(lonlat), dim=1) @ self.waves.double()
        raw = torch.cat([torch.cos(phase), torch.sin(phase)], dim=1)
        return ((raw - self.mean.double()) / self.std.double()).float()


def _shares(highest: float) -> Tensor:
    """(WAVES,) wave numbers divided by the highest one: evenly spaced up to 1, in an irregular order."""
    lowest = max(2.0**-OCTAVES, 1 / highest)
    rank = (torch.arange(WAVES, dtype=torch.float64) * _STEP % 1).argsort().argsort()
    return lowest + (1 - lowest) * (rank.double() + 1) / WAVES
