"""A linear map of spherical harmonics on a regular grid, without computing the harmonics per cell.

On a grid each harmonic is a product P(lat) T(lon), and T depends only on the order m. So the sum
over degrees is computed once per row of the grid, and each cell needs only one short product with
the 2L - 1 sines and cosines of its column:

    (W Y)(lat, lon) = sum_m T_m(lon) [ sum_l W[:, l, m] P_{l, abs(m)}(lat) ].

A first layer of 512 units on 1600 harmonics costs 79 x 512 instead of 1600 x 512 products per cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.encoders.harmonics import SphericalHarmonics, unit_vector


class GridLinear:
    """``weight @ harmonics + bias`` on the rows of a grid.

    Args:
        harmonics: the harmonics.
        weight: (O, L * L).
        bias: (O,).
        lon: (W,) degrees, float64: the columns.
        dtype: dtype of the result. The sums over degrees are always in float64.
    """

    def __init__(
        self,
        harmonics: SphericalHarmonics,
        weight: Tensor,
        bias: Tensor,
        lon: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._harmonics = harmonics
        degrees = harmonics.legendre_polys
        order = torch.arange(-degrees + 1, degrees, device=weight.device)
        degree = torch.arange(degrees, device=weight.device)
        # Feature of (order, degree) and of (abs(order), degree); none exists if abs(order) > degree.
        self._feature = degree * (degree + 1) + order[:, None].abs()
        self._exists = order[:, None].abs() <= degree
        signed = torch.where(self._exists, degree * (degree + 1) + order[:, None], 0)
        self._feature = torch.where(self._exists, self._feature, 0)
        by_order = weight.detach().double()[:, signed] * self._exists  # (O, 2L-1, L)
        self._weight = by_order.permute(1, 2, 0).contiguous()  # (2L-1, L, O)
        self._trig = _trigonometric(harmonics, lon, order).to(dtype)  # (W, 2L-1)
        self._bias = bias.detach().to(dtype)

    def __call__(self, lat: Tensor) -> Tensor:
        """Rows at (R,) latitudes: (R * W, O), row-major."""
        origin = 180.0 if self._harmonics.opposite else 0.0  # where every sine is 0 and every cosine 1
        places = torch.stack([torch.full_like(lat, origin), lat], dim=1)
        legendre = self._harmonics(places)[:, self._feature] * self._exists  # (R, 2L-1, L)
        folded = torch.bmm(legendre.transpose(0, 1), self._weight)  # (2L-1, R, O)
        folded = folded.transpose(0, 1).to(self._trig.dtype)
        out = torch.matmul(self._trig, folded.contiguous())  # (R, W, O)
        return out.add_(self._bias).flatten(0, 1)


def _trigonometric(harmonics: SphericalHarmonics, lon: Tensor, order: Tensor) -> Tensor:
    """(W, 2L-1): sin(abs(m) a) for m < 0, cos(m a) for m >= 0; a is the azimuth of the convention."""
    x, y, _ = unit_vector(torch.stack([lon, torch.zeros_like(lon)], dim=1))
    if harmonics.opposite:
        x, y = -x, -y
    angle = torch.atan2(y, x)[:, None] * order.abs()
    return torch.where(order < 0, torch.sin(angle), torch.cos(angle))
