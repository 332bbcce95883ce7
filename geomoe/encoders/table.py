"""The table of location encoders, and the function that creates them.

To add one: write a subclass of LocationEncoder and add its line to ``ENCODERS``; the contract test
runs over the whole table.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from geomoe.encoders.domain import DomainEmbedding
from geomoe.encoders.fourier import FourierEncoder
from geomoe.encoders.geoclip import GeoCLIPEncoder
from geomoe.encoders.satclip import SatCLIP, SatCLIPEncoder
from geomoe.encoders.satclip_weights import RELEASED
from geomoe.encoders.simple import Cartesian3DEncoder, WrapEncoder
from geomoe.encoders.sphere import SphereEncoder, SphereSirenEncoder
from geomoe.errors import CheckpointError, ConfigError, InputError
from geomoe.support.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geomoe.encoders.base import LocationEncoder


@dataclass(frozen=True)
class EncoderOptions:
    """The arguments of :func:`create_encoder`; each encoder uses those that apply to it."""

    out_dim: int
    hidden_dim: int
    legendre_polys: int
    finest_km: float | None
    weights: str | None
    capsules: tuple[int, ...]
    noise: float
    freeze: bool
    num_domains: int | None
    trained_domains: Sequence[int] | None
    architecture: Mapping[str, Any] | None

    @property
    def head(self) -> dict[str, Any]:
        """The options of every head."""
        return {"hidden_dim": self.hidden_dim, "out_dim": self.out_dim, "noise": self.noise}


@dataclass(frozen=True)
class _Sizes:
    """The sizes of a SatCLIP network in a checkpoint, so that its own file is not needed again."""

    legendre_polys: int
    capacity: int
    embed_dim: int
    num_hidden_layers: int
    harmonics_calculation: str = "analytic"
    dtype: Literal["float16", "bfloat16", "float32", "float64"] = "float32"


def _empty_satclip(architecture: Mapping[str, Any]) -> SatCLIP:
    try:
        sizes = asdict(from_plain(_Sizes, dict(architecture), "encoder"))
    except InputError as error:
        raise CheckpointError(f"sizes of SatCLIP in the checkpoint: {error}; train again") from error
    dtype = getattr(torch, sizes.pop("dtype"))
    return SatCLIP(**sizes).to(dtype)


def _satclip(options: EncoderOptions) -> LocationEncoder:
    if options.weights is None and not options.architecture:
        names = ", ".join(RELEASED)
        msg = f"weights: the encoder satclip needs a local .ckpt file, or hf:NAME with NAME one of {names}"
        raise ConfigError(msg)
    if options.architecture:
        network = _empty_satclip(options.architecture)
    else:
        network = SatCLIP.from_file(str(options.weights))
    measure = not options.architecture
    return SatCLIPEncoder(network, **options.head, freeze=options.freeze, measure=measure)


#: Name -> maker. Every name here can be used in a configuration (encoder.name).
ENCODERS: dict[str, Callable[[EncoderOptions], LocationEncoder]] = {
    "sh": lambda o: SphereEncoder(o.legendre_polys, **o.head),
    "sh-siren": lambda o: SphereSirenEncoder(o.legendre_polys, **o.head),
    "fourier": lambda o: FourierEncoder(o.finest_km, **o.head),
    "satclip": _satclip,
    "wrap": lambda o: WrapEncoder(**o.head),
    "cartesian3d": lambda o: Cartesian3DEncoder(**o.head),
    "geoclip": lambda o: GeoCLIPEncoder(o.capsules, **o.head, freeze=o.freeze),
    "domain": lambda o: DomainEmbedding(o.num_domains, o.out_dim, o.noise, o.trained_domains),
}


def create_encoder(
    name: str,
    *,
    out_dim: int = 64,
    hidden_dim: int = 128,
    legendre_polys: int = 10,
    finest_km: float | None = None,
    weights: str | None = None,
    capsules: Sequence[int] = (0,),
    noise: float = 0.0,
    freeze: bool = True,
    num_domains: int | None = None,
    trained_domains: Sequence[int] | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> LocationEncoder:
    """Make a location encoder by name.

    Args:
        name: sh, sh-siren, fourier, satclip, wrap, cartesian3d, geoclip or domain.
        out_dim: L, width of the embedding.
        hidden_dim: width of the hidden layer of the trainable head.
        legendre_polys: L of the harmonics, for sh and sh-siren (a SatCLIP file has its own).
        finest_km: for fourier: half the length of the shortest wave in km.
        weights: for satclip: a local file, or hf:NAME from the Hugging Face hub.
        capsules: for geoclip: the frequency capsules to use.
        noise: standard deviation of Gaussian noise on the standardised features, in training.
        freeze: keep pretrained weights fixed.
        num_domains: for domain: number of domains.
        trained_domains: for domain: ids with training samples; None: all of them.
        architecture: an encoder's ``architecture``, to rebuild it without its weights file; its state
            dict must be loaded afterwards.

    Raises:
        ConfigError: an unknown name, or an option that the encoder cannot use.
        CheckpointError: the weights are missing, damaged or of another model.
        DependencyNotFoundError: an extra is not installed.
    """
    if name not in ENCODERS:
        near = difflib.get_close_matches(name, ENCODERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"encoder: expected one of {', '.join(ENCODERS)}; got {name!r}{hint}"
        raise ConfigError(msg)
    if weights is not None and name != "satclip":
        msg = f"weights: the encoder {name} reads no weights file; got {weights!r}"
        raise ConfigError(msg)
    options = EncoderOptions(
        out_dim,
        hidden_dim,
        legendre_polys,
        finest_km,
        weights,
        tuple(capsules),
        noise,
        freeze,
        num_domains,
        trained_domains,
        architecture,
    )
    encoder = ENCODERS[name](options)
    names = ("out_dim", "hidden_dim", "legendre_polys", "finest_km", "weights", "noise", "freeze")
    encoder.recipe = {
        "name": name,
        "capsules": list(capsules),
        **{key: getattr(options, key) for key in names},
    }
    return encoder
