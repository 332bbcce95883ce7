"""Read image files as tensors; an error is one line that names the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from geomoe.errors import DataError, one_line
from geomoe.support.files import open_regular
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor


#: Formats that Pillow may try: some of its other readers start external programs (PostScript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "PPM")


def read_rgb(path: Path) -> Tensor:
    """Read a picture (JPEG, PNG, ...) of any colour mode as (3, H, W) uint8, and close the file.

    Pixels keep their stored order: the EXIF orientation is ignored.

    Raises:
        DataError: the file is missing, empty, truncated, not a picture, or has more than 8 bits.
    """
    try:
        with open_regular(path, DataError) as file, Image.open(file, formats=FORMATS) as image:
            pixels = np.array(_rgb(image, path))  # a copy: torch needs writable memory
    except DataError:
        raise
    except UnidentifiedImageError as error:
        size = path.stat().st_size
        what = "not a picture" if size else "an empty file"
        msg = f"{path}: {what} ({counted(size, 'byte')}); copy it again"
        raise DataError(msg) from error
    except FileNotFoundError as error:
        msg = f"{path}: no such image; the copy of the data set is incomplete, copy it again"
        raise DataError(msg) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        msg = f"{path}: cannot read the image ({one_line(error)}); copy it again"
        raise DataError(msg) from error
    return torch.from_numpy(pixels.transpose(2, 0, 1))


def _rgb(image: Image.Image, path: Path) -> Image.Image:
    """Convert to RGB; scale 16-bit grey to 8 bits, as Pillow does for colour (it clips grey at 255)."""
    if image.mode == "F" or image.mode.startswith("I"):
        if image.format != "PNG":  # in a TIFF the value of white is unknown
            raise DataError(f"{path}: has more than 8 bits (mode {image.mode}); save it with 8")
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    return image.convert("RGB")


def absent(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the files missing from a folder; one listing keeps this fast for half a million files."""
    there = set(os.listdir(folder))
    return [folder / name for name in names if name not in there and not (folder / name).is_file()]
