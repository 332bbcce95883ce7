"""Compare the extent of the training places with the resolution of the configured location encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.build import build_encoder, extent_of, settled
from geomoe.catalogue import METHODS
from geomoe.checking.places import Finding
from geomoe.config.reach import encoder_text, is_open, reach_doubt, reach_text
from geomoe.coords import half_wave_km
from geomoe.datasets.training_places import thin_places
from geomoe.encoders.satclip_weights import degrees_of
from geomoe.errors import DependencyNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geomoe.config import RunConfig
    from geomoe.datasets.base import LabelledImages


class Reach(NamedTuple):
    """The extent of the training places, and the resolution of the configured encoder.

    Attributes:
        extent_km: distance in km between the furthest training places.
        encoder: the encoder and the option that determines its finest detail, as a run would choose them.
        resolution_km: half a wave of its finest feature in km; None: not known without its weights or
            package.
        text: extent and resolution in one line.
        doubt: warning that the encoder is too coarse for the data, with one that fits; empty if it fits.
    """

    extent_km: float
    encoder: str
    resolution_km: float | None
    text: str
    doubt: str


def find_reach(config: RunConfig, train: LabelledImages) -> Reach | None:
    """Compare the training places with the encoder that a run of this configuration has.

    Returns:
        The comparison; None if no place is known, or the method or its encoder reads no places.

    Raises:
        CheckpointError: a local file of SatCLIP's weights cannot be read.
    """
    info = {"domains": list(train.regions), "places": thin_places(train.lonlat)}
    extent = extent_of(info)
    if extent is None or not METHODS[config.algorithm].places or config.encoder.name == "domain":
        return None
    chosen = settled(config, info)
    km = _resolution(chosen, info)
    text = reach_text(chosen.encoder, km, extent)
    if is_open(config):
        text += "; a run chooses it by this extent"
    return Reach(extent, encoder_text(chosen.encoder), km, text, reach_doubt(chosen.encoder, km, extent))


def look_at_reach(reach: Reach | None) -> list[Finding]:
    """A warning if the encoder is too coarse to distinguish the training places."""
    return [Finding("warning", "encoder", reach.doubt)] if reach is not None and reach.doubt else []


def _resolution(config: RunConfig, info: Mapping[str, Any]) -> float | None:
    """Half a wave of the encoder's finest feature, without fetching weights."""
    if config.encoder.name == "satclip":
        degrees = degrees_of(str(config.encoder.weights))
        return None if degrees is None else half_wave_km(degrees - 1)
    try:
        return build_encoder(config, info).resolution_km
    except DependencyNotFoundError:
        return None
