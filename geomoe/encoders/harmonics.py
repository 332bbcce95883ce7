"""Real spherical harmonics of places on the Earth, by recurrence on the unit vector.

All orders of a degree are computed together. With Q the harmonics up to one factor per feature,

    Q[l, m] = 2 z Q[l-1, m] - b[l, m] Q[l-2, m],    Q[l, +-l] = Re, Im (x + iy)^l,

which is a polynomial in (x, y, z): no division by the cosine of the latitude, so poles and
antimeridian need no special case, also for gradients. One multiplication by a constant per
feature then gives the normalisation and the signs of the requested convention.

Values are stored feature-major, (L * L, N), so that each step runs over long contiguous rows, and
returned as an (N, L * L) view of that memory, without a copy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError, CoordinateError

#: Places computed at a time: the rows of a few degrees stay in cache.
_CHUNK = 4096

#: The number for float32 results, whose float64 recurrence needs a buffer of its own.
_CHUNK_SINGLE = 1024

#: Names of the conventions; see :class:`SphericalHarmonics`.
CONVENTIONS = ("satclip", "satclip-closed-form", "orthonormal")


class _Coefficients(NamedTuple):
    scale: tuple[Tensor, ...]  # for each degree l: (2l + 1, 1), from Q to Y
    sine: Tensor  # (L - 1,): index of the feature of order -l, for l >= 1
    cosine: Tensor  # (L - 1,): index of the feature of order l
    beta: tuple[Tensor, ...]  # for each degree l >= 2: (2l - 3, 1), orders -(l-2) to l-2


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics of degrees 0 to L - 1: (N, 2) lonlat to (N, L * L).

    Feature ``l * l + l + m`` is degree l, order m, with -l <= m <= l; it contains sin(abs(m) longitude)
    for m < 0 and cos(m longitude) for m > 0. Degree l has features of about 20,000 / l km.

    Conventions, with Y the orthonormal real harmonics without the Condon-Shortley phase:

    - ``satclip``: (-1)^l Y, times pi where m = 0. SatCLIP's "analytic" formulas compute this where
      they are accurate (they take the angles lon + 180 and lat + 90, and have sqrt((2l+1)/4*pi) instead
      of sqrt((2l+1)/(4*pi)) at m = 0), and its released weights expect it.
    - ``satclip-closed-form``: (-1)^(l+m) Y. SatCLIP's "closed-form" switch.
    - ``orthonormal``: Y itself; the integral of Y_i Y_j over the unit sphere is 1 if i = j, else 0.

    Args:
        legendre_polys: L, at least 1. Values are accurate far beyond 100 (float64 underflows near 1900).
        convention: one of the names above.

    Raises:
        ConfigError: unknown convention, or an L that is not a positive integer.
    """

    def __init__(self, legendre_polys: int = 10, convention: str = "satclip") -> None:
        super().__init__()
        if isinstance(legendre_polys, bool) or not isinstance(legendre_polys, int) or legendre_polys < 1:
            msg = f"legendre_polys: expected a positive whole number; got {legendre_polys!r}"
            raise ConfigError(msg)
        if convention not in CONVENTIONS:
            msg = f"convention: expected one of {', '.join(CONVENTIONS)}; got {convention!r}"
            raise ConfigError(msg)
        self.legendre_polys = legendre_polys
        self.convention = convention

    @property
    def feature_dim(self) -> int:
        """Number of features, L * L."""
        return self.legendre_polys**2

    @property
    def opposite(self) -> bool:
        """Whether the convention evaluates Y at the opposite point: the sign (-1)^l."""
        return self.convention != "orthonormal"

    def extra_repr(self) -> str:
        """Describe the module in one line."""
        return f"legendre_polys={self.legendre_polys}, convention={self.convention!r}"

    def forward(self, lonlat: Tensor) -> Tensor:
        """Evaluate every harmonic.

        Args:
            lonlat: (N, 2) degrees, longitude first, float64 or float32. NaN gives NaN. The
                recurrence is always in float64: in float32 its accuracy would be worse by a factor of
                L^1.5 near the poles.

        Returns:
            (N, L * L) in the dtype and on the device of ``lonlat``; stored feature-major. The result is twice
            differentiable if ``lonlat`` requires a gradient.

        Raises:
            CoordinateError: ``lonlat`` is not a floating (N, 2) tensor.
        """
        if lonlat.ndim != 2 or lonlat.shape[1] != 2 or lonlat.dtype not in (torch.float32, torch.float64):
            got = f"{tuple(lonlat.shape)} {lonlat.dtype}"
            msg = f"lonlat: expected float32 or float64 (N, 2) degrees; got {got}"
            raise CoordinateError(msg)
        x, y, z = unit_vector(lonlat)
        place = _Place(-x, -y, -2 * z) if self.opposite else _Place(x, y, 2 * z)
        known = _coefficients(self.legendre_polys, self.convention, lonlat.device)
        if torch.is_grad_enabled() and lonlat.requires_grad:
            return _recurrence(place, known).t().to(lonlat.dtype)
        out = lonlat.new_empty(self.feature_dim, len(lonlat))
        single = lonlat.dtype == torch.float32
        chunk = min(_CHUNK_SINGLE if single else _CHUNK, max(1, len(lonlat)))
        buffer = place.x.new_empty(self.feature_dim, chunk) if single else out
        for start in range(0, len(lonlat), chunk):
            part = slice(start, min(start + chunk, len(lonlat)))
            target = buffer[:, : part.stop - start] if single else out[:, part]
            _recurrence_into(target, _Place(*(value[part] for value in place)), known)
            if single:
                out[:, part].copy_(target)
        return out.t()


class _Place(NamedTuple):
    """Unit vectors of n places in the form that the recurrence needs, each (n,) float64."""

    x: Tensor
    y: Tensor
    twice_z: Tensor


def unit_vector(lonlat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors (x, y, z), each (N,) float64, of (N, 2) degrees; a pole is exactly (0, 0, +-1)."""
    lon, lat = lonlat.double().unbind(dim=1)
    lon = lon - 360 * torch.floor((lon + 180) / 360)  # so that 180 and -180 are the same place
    azimuth, height = torch.deg2rad(lon), torch.deg2rad(lat)
    radius = torch.sin(torch.deg2rad(90 - lat.abs()))
    return radius * torch.cos(azimuth), radius * torch.sin(azimuth), torch.sin(height)


def _recurrence_into(out: Tensor, place: _Place, known: _Coefficients) -> None:
    """Write the harmonics of n places into ``out`` (L * L, n), without any other large tensor."""
    degrees = math.isqrt(len(out))
    x, y, twice_z = place
    # All views are made at once, so that a degree costs three calls: all orders, those between -l and l, ...
    rows = out.split([2 * n + 1 for n in range(degrees)])
    inner = out[1:].split([size for n in range(1, degrees) for size in (1, 2 * n - 1, 1)])[1::3]
    inmost = out[4:].split([size for n in range(2, degrees) for size in (2, 2 * n - 3, 2)])[1::3]
    out[0].fill_(1)
    if degrees > 1:
        power = _powers(torch.complex(x, y), degrees - 1)
        out.index_copy_(0, known.sine, power.imag)
        out.index_copy_(0, known.cosine, power.real)
        inner[0].copy_(twice_z)
    for n in range(2, degrees):
        torch.mul(rows[n - 1], twice_z, out=inner[n - 1])
        inmost[n - 2].addcmul_(known.beta[n], rows[n - 2], value=-1)
        rows[n - 2].mul_(known.scale[n - 2])  # it is not needed any more, and still in cache
    for row, scale in zip(rows[-2:], known.scale[-2:], strict=True):
        row.mul_(scale)


def _powers(base: Tensor, number: int) -> Tensor:
    """(number, n): base, base^2, ... of (n,) complex numbers, by doubling."""
    power = base[None]
    while len(power) < number:
        power = torch.cat([power, power[: number - len(power)] * power[-1]])
    return power


def _recurrence(place: _Place, known: _Coefficients) -> Tensor:
    """(L * L, N): the same values as :func:`_recurrence_into`, out of place, for autograd."""
    x, y, twice_z = place
    rows = [(0 * twice_z + 1)[None], torch.stack([y, twice_z, x])]
    for beta in known.beta[2:]:
        last, before = rows[-1], rows[-2]
        middle = last * twice_z
        middle = torch.cat([middle[:1], middle[1:-1] - beta * before, middle[-1:]])
        sine, cosine = last[:1], last[-1:]
        rows.append(torch.cat([sine * x + cosine * y, middle, cosine * x - sine * y]))
    return torch.cat([row * scale for row, scale in zip(rows, known.scale, strict=False)])


@lru_cache(maxsize=32)
def _coefficients(degrees: int, convention: str, device: torch.device) -> _Coefficients:
    """Constants of the recurrence, float64."""
    # Outside inference mode, so that the cached tensors can be saved for a later backward pass.
    with torch.inference_mode(mode=False), torch.no_grad():
        seeds = torch.ones(degrees, dtype=torch.float64)  # Y[m, m] / Re (x + iy)^m
        for m in range(1, degrees):
            seeds[m] = seeds[m - 1] * math.sqrt(1 + 0.5 / m)
        seeds *= math.sqrt(1 / (4 * math.pi)) * math.sqrt(2)
        seeds[0] = math.sqrt(1 / (4 * math.pi)) * (math.pi if convention == "satclip" else 1)
        if convention == "satclip-closed-form":
            seeds[1::2] *= -1  # the Condon-Shortley phase
        growth = torch.ones(degrees, degrees, dtype=torch.float64)  # [l, m]: Y / (Q seed)
        beta = [torch.empty(0), torch.empty(0)][:degrees]
        for n in range(1, degrees):
            order = torch.arange(n, dtype=torch.float64)
            growth[n, :n] = growth[n - 1, :n] * torch.sqrt((4.0 * n**2 - 1) / (n**2 - order**2)) / 2
            if n >= 2:
                order = order[:-1]
                ratio = (2 * n + 1) / (2 * n - 3) * ((n - 1) ** 2 - order**2) / (n**2 - order**2)
                back = torch.sqrt(ratio) * growth[n - 2, : n - 1] / growth[n, : n - 1]
                beta.append(torch.cat([back[1:].flip(0), back])[:, None].to(device))
        scale = []
        for n in range(degrees):
            row = growth[n, : n + 1] * seeds[: n + 1]
            scale.append(torch.cat([row[1:].flip(0), row])[:, None].to(device))
        degree = torch.arange(1, degrees, device=device)
        return _Coefficients(tuple(scale), degree**2, degree**2 + 2 * degree, tuple(beta))
