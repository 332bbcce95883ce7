"""Colours that stay apart, pictures that keep their values."""

from __future__ import annotations

import base64
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from geomoe.pages import palette


def luminance(colour):
    """WCAG 2 relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB
SIMULATED = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ linear / [0.9505, 1, 1.089], 1e-4, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", SIMULATED)
def test_colours_of_eight_experts_stay_apart_for_colour_blind_readers(kind):
    rgb = palette.flat(palette.expert_colours(8)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = [lab(np.clip(np.array(SIMULATED[kind]) @ colour, 0, 1)) for colour in linear]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest > 9  # 2.3 is just noticeable


@pytest.mark.parametrize("count", [1, 6, 8, 9, 10, 24, 30])
def test_as_many_different_colours_as_experts(count):
    colours = palette.expert_colours(count)
    assert len(colours) == len(set(colours)) == count


def test_numbers_can_be_read_on_every_colour():
    for colour in palette.expert_colours(30) + palette.expert_colours(8):
        low, high = sorted([luminance(colour), luminance(palette.ink(colour))])
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA


@pytest.mark.parametrize("colour", palette.expert_colours(8) + palette.expert_colours(30))
def test_weight_colours_only_get_darker(colour):
    shades = [luminance(shade) for shade in palette.hexes(palette.ramp(palette.weight_stops(colour)))]
    assert np.diff(shades).max() <= 0.002  # one step of 8 bits
    assert shades[0] - shades[-1] > 0.7


def test_ramp_reaches_its_last_stop_at_top():
    table = palette.ramp(["#000000", "#ff0000"], top=0.5)
    assert table[0].tolist() == [0, 0, 0]
    assert table[64].tolist() == [round(64 / 255 / 0.5 * 255), 0, 0]
    assert (table[128:] == [255, 0, 0]).all()


def test_quantised_values_are_near():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.abs(palette.quantise(values) / 255 - values).max() <= 1 / 510 + 1e-6


def test_a_picture_keeps_every_value_and_colour():
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53)).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    uri = palette.png_uri(pixels, colours)
    assert uri.startswith("data:image/png;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colours[pixels])


def test_a_picture_of_few_colours_is_still_a_byte_a_pixel():
    uri = palette.png_uri(np.zeros((4, 4), dtype=np.uint8), palette.flat(["#102030"]))
    header = base64.b64decode(uri.split(",")[1])[16:26]
    assert header[8:] == b"\x08\x03"  # bit depth 8, palette
