"""GeoCLIP's pretrained location encoder (Vivanco Cepeda et al. 2023, arXiv 2309.16020)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor, nn

from geomoe.coords import EARTH_RADIUS_KM
from geomoe.encoders.pretrained import Freezable, PretrainedEncoder, PretrainedOptions
from geomoe.errors import ConfigError, DependencyNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Width of GeoCLIP's location embedding.
_WIDTH = 512

#: Standard deviation of the random Fourier frequencies of each capsule, in waves per unit of GeoCLIP's map.
SIGMAS = (1, 16, 256)
_CAPSULES = len(SIGMAS)

#: km per unit of GeoCLIP's map, which is an equal-area map in Earth radii, multiplied by 66.50336 / 180.
_UNIT_KM = 180 / 66.50336 * EARTH_RADIUS_KM


class GeoCLIP(Freezable):
    """Sum of the chosen frequency capsules of GeoCLIP: (B, 2) lonlat to (B, 512) float32.

    Weights come with the package geoclip; nothing is downloaded. All three capsules together are
    GeoCLIP's own embedding. Its map projection is discontinuous at the antimeridian.

    Args:
        capsules: which capsules, 0 (low frequencies, smooth at the scale of continents), 1, 2.

    Raises:
        ConfigError: no capsules, one that does not exist, or one given twice.
        DependencyNotFoundError: the package geoclip is not installed.
    """

    def __init__(self, capsules: Sequence[int] = (0,)) -> None:
        super().__init__()
        chosen = tuple(capsules)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(_CAPSULES)):
            msg = f"capsules: expected some of 0, 1, 2, each once; got {list(chosen)}"
            raise ConfigError(msg)
        project, encoder = _import_geoclip()
        self.capsules = nn.ModuleDict({str(i): encoder.get_submodule(f"LocEnc{i}") for i in sorted(chosen)})
        self._project = project

    def forward(self, lonlat: Tensor) -> Tensor:
        """Embeddings of (B, 2) places in degrees; longitudes beyond 180 are wrapped."""
        lon, lat = lonlat.unbind(dim=1)
        # Beyond the edge of its map the projection would continue; the edge itself is not wrapped.
        lon = torch.where(lon.abs() > 180, lon - 360 * torch.floor((lon + 180) / 360), lon)
        latlon = torch.stack([lat, lon], dim=1)  # GeoCLIP's order, here and nowhere else
        plane = self._project(latlon).float()
        return torch.stack([capsule(plane) for capsule in self.capsules.values()]).sum(dim=0)


class GeoCLIPEncoder(PretrainedEncoder):
    """``geoclip``: GeoCLIP's embedding, standardised, then the MLP.

    Args:
        capsules: see :class:`GeoCLIP`.
        options: hidden_dim, out_dim, noise, freeze, measure: see :class:`PretrainedEncoder`.
    """

    def __init__(self, capsules: Sequence[int] = (0,), **options: Unpack[PretrainedOptions]) -> None:
        super().__init__(GeoCLIP(capsules), _WIDTH, **options)
        self._finest = max(capsules)

    @property
    def resolution_km(self) -> float:
        """Half a wave, in km, at twice the standard deviation of the frequencies of the finest capsule."""
        return _UNIT_KM / (4 * SIGMAS[self._finest])


def _import_geoclip() -> tuple[Callable[[Tensor], Tensor], Any]:
    """GeoCLIP's projection of (B, 2) lat, lon degrees, and its pretrained location encoder."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of its image encoder about its dependencies
            from geoclip.model.location_encoder import LocationEncoder, equal_earth_projection
    except ImportError as error:
        msg = f"encoder geoclip: needs the package geoclip; pip install 'geomoe[geoclip]' ({error})"
        raise DependencyNotFoundError(msg) from error
    return equal_earth_projection, LocationEncoder(from_pretrained=True)
