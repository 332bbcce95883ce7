"""Pictures of every colour mode become RGB; a damaged one is named in one line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from geomoe.errors import DataError
from geomoe.reading.pictures import read_rgb

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_every_mode(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(RGB).convert(mode).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)  # the file is closed
        image = read_rgb(path)
    assert image.dtype == torch.uint8
    assert image.shape == (3, 5, 7)
    want = np.asarray(Image.fromarray(RGB).convert(mode).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(image.numpy(), want)
    image += 1  # its memory is its own


def test_grey_of_sixteen_bits_is_darkened_not_cut_off(tmp_path):
    """Pillow alone makes white of everything above 255; of colours it keeps the upper byte, as here."""
    grey = np.linspace(0, 65535, 35).astype(np.uint16).reshape(5, 7)
    Image.fromarray(grey).save(tmp_path / "a.png")
    expected = np.repeat((grey // 256)[None], 3, axis=0)
    assert np.array_equal(read_rgb(tmp_path / "a.png").numpy(), expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_numbers_without_a_white_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((5, 7), 900, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: has more than 8 bits \(mode .*\); save it with 8"):
        read_rgb(tmp_path / "a.tif")


def test_as_stored_and_of_a_film_the_first_frame(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=turned)
    assert np.array_equal(read_rgb(tmp_path / "a.png").numpy(), RGB.transpose(2, 0, 1))
    frames = [Image.fromarray(RGB).quantize(8), Image.fromarray(RGB[::-1]).quantize(8)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    expected = np.asarray(frames[0].convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(read_rgb(tmp_path / "a.gif").numpy(), expected)


def test_damaged_files(tmp_path):
    Image.fromarray(RGB.repeat(30, axis=0).repeat(30, axis=1)).save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:900])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    Image.fromarray(RGB).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "cut.jpg": "cannot read the image (image file is truncated",
        "cut.png": "cannot read the image (",
        "empty.jpg": "an empty file (0 bytes)",
        "text.jpg": "not a picture (22 bytes)",
        "missing.jpg": "no such image",
        "folder.png": "cannot read the image (",
    }.items():
        with pytest.raises(DataError) as refusal:
            read_rgb(tmp_path / name)
        text = str(refusal.value)
        assert text.startswith(f"{tmp_path / name}: ")
        assert message in text
        assert "\n" not in text
