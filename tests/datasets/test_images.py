"""Pictures of every colour mode become RGB; a damaged one is named in one line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from geomoe.datasets.images import read_rgb
from geomoe.errors import DataError

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


def test_damaged_files(tmp_path):
    Image.fromarray(RGB.repeat(30, axis=0).repeat(30, axis=1)).save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:900])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    Image.fromarray(RGB).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    for name, message in {
        "cut.jpg": "cannot read the image (image file is truncated",
        "cut.png": "cannot read the image (",
        "empty.jpg": "an empty file (0 bytes)",
        "text.jpg": "not a picture (22 bytes)",
        "missing.jpg": "no such image",
    }.items():
        with pytest.raises(DataError) as refusal:
            read_rgb(tmp_path / name)
        text = str(refusal.value)
        assert text.startswith(f"{tmp_path / name}: ")
        assert message in text
        assert "\n" not in text
