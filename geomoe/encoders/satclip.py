"""SatCLIP's location encoder (Klemmer et al. 2025, doi 10.1609/aaai.v39i4.32457)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import torch
from torch import Tensor

from geomoe.coords import half_wave_km
from geomoe.encoders.grid import GridLinear
from geomoe.encoders.harmonics import SphericalHarmonics
from geomoe.encoders.pretrained import Freezable, PretrainedEncoder, PretrainedOptions
from geomoe.encoders.satclip_weights import SatCLIPShape, read_satclip
from geomoe.encoders.siren import SirenNet

if TYPE_CHECKING:
    from pathlib import Path

#: Places evaluated at a time: limits the memory of the harmonics.
_CHUNK = 4096


class SatCLIP(Freezable):
    """Spherical harmonics and a SIREN, as in SatCLIP: (B, 2) lonlat to (B, embed_dim).

    It runs in the dtype of its weights; the released ones are float64.

    Args:
        legendre_polys: L of the harmonics.
        capacity: width of the hidden layers.
        embed_dim: width of the output.
        num_hidden_layers: hidden layers.
        harmonics_calculation: "analytic" or "closed-form": SatCLIP's two conventions.
        dropout: share of hidden values dropped in training (SatCLIP: one half).
    """

    def __init__(
        self,
        legendre_polys: int = 40,
        capacity: int = 512,
        embed_dim: int = 256,
        num_hidden_layers: int = 2,
        harmonics_calculation: str = "analytic",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.shape = SatCLIPShape(
            legendre_polys, capacity, embed_dim, num_hidden_layers, harmonics_calculation
        )
        self.posenc = SphericalHarmonics(legendre_polys, self.shape.convention)
        self.nnet = SirenNet(legendre_polys**2, capacity, embed_dim, num_hidden_layers, dropout=dropout)

    @classmethod
    def from_file(cls, weights: str | Path, dropout: float = 0.5) -> SatCLIP:
        """Read a released checkpoint.

        Args:
            weights: a local .ckpt file, or hf:NAME (such as hf:SatCLIP-ViT16-L40) from the Hugging Face hub.
            dropout: share of hidden values dropped in training.

        Raises:
            CheckpointError: the file is missing, would run code, or is not a SatCLIP checkpoint whose
                location encoder has exactly the keys and shapes that its hyperparameters imply.
        """
        shape, state = read_satclip(weights)
        model = cls(**shape._asdict(), dropout=dropout)
        dtype = next(iter(state.values())).dtype
        model.to(dtype).nnet.load_state_dict(state)
        return model.eval()

    def forward(self, lonlat: Tensor) -> Tensor:
        """Embeddings of (B, 2) places in degrees: (B, embed_dim) in the dtype of the weights."""
        dtype = self.nnet.first.weight.dtype
        # Harmonics in float64 even for float32 weights: their error would be multiplied by w0 = 30.
        parts = [self.nnet(self.posenc(part).to(dtype)) for part in lonlat.double().split(_CHUNK)]
        return torch.cat(parts)


class _Prepared(NamedTuple):
    first: GridLinear
    rest: SirenNet


class SatCLIPEncoder(PretrainedEncoder):
    """``satclip``: SatCLIP's embedding, standardised, then the MLP.

    For maps (:meth:`embed_grid`) the network runs in float32, with its first layer summed over degrees in
    float64; for single places it runs in the dtype of the weights.

    Args:
        network: the location encoder, with weights.
        options: hidden_dim, out_dim, noise, freeze, measure: see :class:`PretrainedEncoder`.
    """

    def __init__(self, network: SatCLIP, **options: Unpack[PretrainedOptions]) -> None:
        super().__init__(network, network.shape.embed_dim, **options)
        self.shape = network.shape

    @property
    def architecture(self) -> dict[str, Any]:
        """Sizes and convention of the network, and the dtype of its weights."""
        network: Any = self.network
        dtype = str(network.nnet.first.weight.dtype).removeprefix("torch.")
        return {**self.shape._asdict(), "dtype": dtype}

    @property
    def resolution_km(self) -> float:
        """Half a wave of the highest degree of the network's harmonics, in km."""
        return half_wave_km(self.shape.legendre_polys - 1)

    def _prepare_grid(self, lon: Tensor) -> _Prepared:
        network: Any = self.network
        first = network.nnet.first
        return _Prepared(GridLinear(network.posenc, first.weight, first.bias, lon), _float32(network))

    def _grid_rows(self, prepared: _Prepared, lat: Tensor) -> Tensor:
        return self.head(self.standardise(prepared.rest.after_first(prepared.first(lat))))


def _float32(network: SatCLIP) -> SirenNet:
    """A float32 copy of the network after the first linear map, in eval mode."""
    shape = network.shape
    with torch.device("meta"):  # no random initialisation: the weights are loaded below
        copy = SirenNet(1, shape.capacity, shape.embed_dim, shape.num_hidden_layers)
    state = {key: value.float() for key, value in network.nnet.state_dict().items()}
    state["layers.0.weight"] = state["layers.0.weight"][:, :1]  # not used: the first linear map has it
    copy.load_state_dict(state, assign=True)
    return copy.eval()
