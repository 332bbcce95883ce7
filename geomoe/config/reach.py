"""Location encoders and the extent of the data: which encoder is fine enough, and what ``auto`` stands for.

The rule: half a wave of an encoder's finest feature must be at most a quarter of the extent of the training
places. A longer wave is nearly constant over the data, so a router cannot separate its places.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from geomoe.config.rules import AUTO
from geomoe.coords import HALF_TURN_KM

if TYPE_CHECKING:
    from geomoe.config.schema import EncoderConfig, RunConfig

PARTS = 4  # least number of half waves of the finest feature that must fit into the extent
FINE = 8  # number of half waves that fit into the extent if geomoe chooses their length
LEAST_DEGREES, MOST_DEGREES = 10, 40  # L that geomoe chooses: 100 to 1,600 features of a place
LEAST_KM = 0.01  # finest detail that geomoe chooses, and that encoder.finest_km may be


def degrees_for(extent_km: float) -> int:
    """The smallest L whose half wave fits :data:`PARTS` times into an extent in km."""
    return math.ceil(PARTS * HALF_TURN_KM / max(extent_km, LEAST_KM) - 1e-9) + 1


def fits(resolution_km: float, extent_km: float) -> bool:
    """Whether an encoder is fine enough for the data: :data:`PARTS` half waves fit into the data's extent."""
    return PARTS * resolution_km <= extent_km * (1 + 1e-9)


def is_open(config: RunConfig) -> bool:
    """Whether the configuration leaves an option of the encoder to be chosen by the extent of the data."""
    return fit_encoder(config.encoder, 1.0) != fit_encoder(config.encoder, HALF_TURN_KM)


def fit_encoder(encoder: EncoderConfig, extent_km: float | None) -> EncoderConfig:
    """Choose the options that a configuration of an encoder leaves open; options that are set are kept.

    ``name: auto`` becomes sh if ``legendre_polys`` is set, and fourier if ``finest_km`` is set. If neither is
    set, it becomes sh if 40 degrees are fine enough for the data (or its places are not known), else fourier.
    ``legendre_polys: null`` becomes the smallest number from 10 to 40 that is fine enough, ``finest_km:
    null`` an eighth of the extent.

    Args:
        encoder: the section of the configuration.
        extent_km: extent of the training places in km (:func:`geomoe.earth.extent.extent_km`); None: no place
            is known; 0: all samples are at one place.
    """
    known = extent_km or HALF_TURN_KM  # a single place needs no particular resolution
    name, polys, finest = encoder.name, encoder.legendre_polys, encoder.finest_km
    if name == AUTO:
        wide = degrees_for(known) <= MOST_DEGREES
        name = "sh" if polys is not None or (finest is None and wide) else "fourier"
    if polys is None:
        asked = degrees_for(known) if name in ("sh", "sh-siren") else LEAST_DEGREES
        polys = min(max(asked, LEAST_DEGREES), MOST_DEGREES)
    if finest is None and name == "fourier":
        finest = _rounded(max(known / FINE, LEAST_KM))
    return replace(encoder, name=name, legendre_polys=polys, finest_km=finest)


def keep_choice(config: RunConfig, earlier: RunConfig) -> RunConfig:
    """The configuration, with the encoder options that it leaves open taken from an earlier run."""
    now, then = config.encoder, earlier.encoder
    kept = replace(
        now,
        name=then.name if now.name == AUTO else now.name,
        legendre_polys=then.legendre_polys if now.legendre_polys is None else now.legendre_polys,
        finest_km=then.finest_km if now.finest_km is None else now.finest_km,
    )
    return replace(config, encoder=kept)


def encoder_text(encoder: EncoderConfig) -> str:
    """The encoder and the option that determines its finest detail, such as ``sh, L = 10``."""
    details = {
        "sh": f", L = {encoder.legendre_polys}",
        "sh-siren": f", L = {encoder.legendre_polys}",
        "fourier": "" if encoder.finest_km is None else f", finest {encoder.finest_km:g} km",
        "geoclip": f", capsules {', '.join(map(str, encoder.capsules))}",
    }
    return encoder.name + details.get(encoder.name, "")


def reach_text(encoder: EncoderConfig, resolution_km: float | None, extent_km: float) -> str:
    """One line: the extent of the training places, and the distance that the encoder distinguishes."""
    if not extent_km:
        told = encoder_text(encoder)
        return f"the training places are one place; the encoder ({told}) has nothing to tell apart"
    data = f"the training places are {km_text(extent_km)} across"
    if resolution_km is None:
        return f"{data}; the resolution of the encoder ({encoder_text(encoder)}) is not known here"
    return f"{data}; the encoder ({encoder_text(encoder)}) tells apart what is {km_text(resolution_km)} apart"


def reach_doubt(encoder: EncoderConfig, resolution_km: float | None, extent_km: float) -> str:
    """One line that warns of an encoder that is too coarse for the data, and names one that fits; or empty.

    With fewer than two places every encoder fits.
    """
    if resolution_km is None or not extent_km or fits(resolution_km, extent_km):
        return ""
    data = f"{reach_text(encoder, resolution_km, extent_km)}, so that it hardly tells them apart"
    if not fits(LEAST_KM, extent_km):
        return f"{data}; no encoder tells apart what is less than {km_text(LEAST_KM)} apart"
    fitting = fit_encoder(replace(encoder, name=AUTO, legendre_polys=None, finest_km=None), extent_km)
    key, value = (
        ("legendre_polys", f"{fitting.legendre_polys}")
        if fitting.name == "sh"
        else ("finest_km", f"{fitting.finest_km:g}")
    )
    return (
        f"{data}; a quarter of the extent or less fits: --encoder.name {fitting.name} --encoder.{key} {value}"
    )


def _rounded(km: float) -> float:
    """Three significant digits, rounded down."""
    unit = 10.0 ** (math.floor(math.log10(km)) - 2)
    return round(math.floor(km / unit + 1e-9) * unit, 6)


def km_text(km: float) -> str:
    """Kilometres to whole ones, those below 10 to two digits."""
    return "half the Earth" if math.isinf(km) else f"{km:,.0f} km" if km >= 10 else f"{km:.2g} km"
