"""Encoders whose features have no options: sines and cosines, and unit vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geomoe.coords import half_wave_km
from geomoe.encoders.base import LocationEncoder, mlp_head
from geomoe.encoders.harmonics import unit_vector


class WrapEncoder(LocationEncoder):
    """``wrap``: sine and cosine of longitude and latitude (after Mac Aodha et al. 2019), then the MLP.

    Features: sin lon, cos lon, sin lat, cos lat, scaled to mean 0 and variance 1 over the area of
    the sphere. A pole is not a single place here: its features depend on the longitude.
    """

    # Mean and variance over the sphere, in closed form: E[cos lat] = pi / 4, E[cos^2 lat] = 2 / 3.
    _MEAN = (0.0, 0.0, 0.0, math.pi / 4)
    _STD = (math.sqrt(1 / 2), math.sqrt(1 / 2), math.sqrt(1 / 3), math.sqrt(2 / 3 - math.pi**2 / 16))

    def __init__(self, hidden_dim: int = 128, out_dim: int = 64, noise: float = 0.0) -> None:
        super().__init__(4, out_dim, mlp_head(4, hidden_dim, out_dim), noise=noise)

    @property
    def resolution_km(self) -> float:
        """Half a wave of the sine of an angle, in km."""
        return half_wave_km(1)

    def _features(self, lonlat: Tensor) -> Tensor:
        lon, lat = torch.deg2rad(lonlat).unbind(dim=1)
        raw = torch.stack([torch.sin(lon), torch.cos(lon), torch.sin(lat), torch.cos(lat)], dim=1)
        return ((raw - raw.new_tensor(self._MEAN)) / raw.new_tensor(self._STD)).float()


class Cartesian3DEncoder(LocationEncoder):
    """``cartesian3d``: the unit vector (x, y, z) times sqrt(3) (variance 1 over the sphere), then the MLP.

    It spans the same functions as the harmonics of degree 1: enough to separate hemispheres, not much more.
    """

    def __init__(self, hidden_dim: int = 128, out_dim: int = 64, noise: float = 0.0) -> None:
        super().__init__(3, out_dim, mlp_head(3, hidden_dim, out_dim), noise=noise)

    @property
    def resolution_km(self) -> float:
        """Half a wave of a harmonic of degree 1, in km."""
        return half_wave_km(1)

    def _features(self, lonlat: Tensor) -> Tensor:
        return (math.sqrt(3) * torch.stack(unit_vector(lonlat), dim=1)).float()
