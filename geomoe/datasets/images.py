"""Image files as tensors; what is wrong with a file is said in one line that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from geomoe.errors import DataError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def read_rgb(path: Path) -> Tensor:
    """Read a picture (JPEG, PNG, ...) as (3, H, W) uint8, whatever its colour mode; the file is closed.

    Raises:
        DataError: the file is missing, empty, cut off or not a picture.
    """
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))  # a copy: torch wants memory that it may write to
    except UnidentifiedImageError as error:
        size = path.stat().st_size
        what = "not a picture" if size else "an empty file"
        msg = f"{path}: {what} ({size:,} bytes); copy it again"
        raise DataError(msg) from error
    except FileNotFoundError as error:
        msg = f"{path}: no such image; the table lists it, so the copy of the data set is incomplete"
        raise DataError(msg) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        msg = f"{path}: cannot read the image ({one_line(error)}); copy it again"
        raise DataError(msg) from error
    return torch.from_numpy(pixels.transpose(2, 0, 1))
