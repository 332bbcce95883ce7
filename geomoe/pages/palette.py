"""Colours that colour-blind readers can distinguish, and small pictures made of them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Okabe & Ito (2008), "Color Universal Design", black last; Petroff (2021), arXiv:2107.02270.
_OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#4d4d4d")
_PETROFF = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
LEVELS = 255  # a weight w is stored as round(255 w)


def expert_colours(count: int) -> list[str]:
    """One colour for each expert: Okabe-Ito to 8, Petroff to 10, then Petroff lighter and darker.

    Beyond 30 colours repeat: the number of the expert, always written beside it, tells them apart.
    """
    if count <= len(_OKABE_ITO):
        return list(_OKABE_ITO[:count])
    lighter = [_mix(colour, 255, 0.5) for colour in _PETROFF]
    darker = [_mix(colour, 0, 0.4) for colour in _PETROFF]
    every = [*_PETROFF, *lighter, *darker]
    return [every[number % len(every)] for number in range(count)]


def ink(colour: str) -> str:
    """Black or white, whichever reads better on a colour (WCAG relative luminance)."""
    linear = ((np.array(_rgb(colour)) / 255 + 0.055) / 1.055) ** 2.4
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def ramp(stops: list[str], top: float = 1.0) -> NDArray[np.uint8]:
    """(256, 3) colours between equally spaced stops, for values from 0 to 1; the last stop is at ``top``."""
    position = np.minimum(np.arange(LEVELS + 1) / LEVELS / top, 1.0) * (len(stops) - 1)
    table = flat(stops)
    mixed = [np.interp(position, np.arange(len(stops)), table[:, channel]) for channel in range(3)]
    return np.round(np.stack(mixed, axis=1)).astype(np.uint8)


def weight_stops(colour: str) -> list[str]:
    """Stops from nearly white over an expert's colour to a much darker one: lightness shows the weight."""
    return ["#f6f8f9", _mix(colour, 255, 0.45), colour, _mix(colour, 0, 0.45), _mix(colour, 0, 0.75)]


# ColorBrewer's BuPu (Harrower & Brewer 2003): light to dark, safe for colour-blind readers.
ENTROPY_STOPS = ["#f7fcfd", "#bfd3e6", "#8c96c6", "#88419d", "#4d004b"]


def flat(colours: list[str]) -> NDArray[np.uint8]:
    """(N, 3) colours of a list of names such as #e69f00."""
    return np.array([_rgb(colour) for colour in colours], dtype=np.uint8).reshape(-1, 3)


def hexes(colours: NDArray[np.uint8]) -> list[str]:
    """Names such as #e69f00 for (N, 3) colours."""
    return ["#" + bytes(row).hex() for row in colours]


def quantise(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values from 0 to 1 in 8 bits: the error is at most 1 / 510."""
    return np.round(np.clip(values, 0, 1) * LEVELS).astype(np.uint8)


def png_uri(pixels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> str:
    """A data URI of an 8-bit palette PNG: pixel value = row in ``colours``.

    The palette always has 256 rows, so that a pixel is a byte and the page can read values back.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    image = Image.fromarray(pixels)
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=9)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def veil_uri(hidden: NDArray[np.uint8], colour: str = "#eef3f6", alpha: int = 175) -> str:
    """A data URI of a PNG that covers the pixels that are 1 with a colour, and leaves those that are 0."""
    table = np.concatenate([[[0, 0, 0]], flat([colour])]).astype(np.uint8)
    image = Image.fromarray(hidden)
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=9, transparency=bytes([0, alpha]))
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _mix(colour: str, towards: int, share: float) -> str:
    return hexes(np.round(np.array([_rgb(colour)]) * (1 - share) + towards * share).astype(np.uint8))[0]
