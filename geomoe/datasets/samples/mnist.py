"""A small MNIST: digits of a seven-segment display in IDX files, in torchvision's layout.

The layout is that of the format's definition (http://yann.lecun.com/exdb/mnist): magic number 0, 0, type
0x08, number of axes; the sizes as big-endian int32; the bytes. Two files are gzipped and two are not, as
happens in folders that torchvision has unpacked.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = {"train": 800, "t10k": 200}
PLAIN = ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte")  # the other two are gzipped

# Strokes of a seven-segment display: top, upper left, upper right, middle, lower left, lower right, bottom.
_STROKES = ("xxx-xxx", "--x--x-", "x-xxx-x", "x-xx-xx", "-xxx-x-", "xx-x-xx", "xx-xxxx", "x-x--x-", "x" * 7)
_LIT = (*_STROKES, "xxxx-xx")
_BOXES = ((0, 2, 0, 10), (0, 10, 0, 2), (0, 10, 8, 10), (9, 11, 0, 10), (9, 20, 0, 2), (9, 20, 8, 10))
_PLACES = (*_BOXES, (18, 20, 0, 10))


def write(folder: Path, seed: int = 0) -> None:
    """Write ``folder/MNIST/raw``: 800 and 200 digits, with balanced classes.

    Args:
        folder: made if it does not exist.
        seed: seed of positions and brightness.
    """
    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for part, size in SIZES.items():
        digit = generator.permutation(np.arange(size) % 10).astype(np.uint8)
        images = np.stack([draw(int(value), generator) for value in digit])
        _write_idx(raw / f"{part}-images-idx3-ubyte", images)
        _write_idx(raw / f"{part}-labels-idx1-ubyte", digit)


def draw(digit: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one digit, (28, 28) uint8: 20 x 10 pixels near the centre, random brightness, and noise."""
    image = generator.integers(0, 30, (28, 28))
    top, left = generator.integers(2, 7), generator.integers(6, 13)
    ink = generator.integers(180, 256)
    for lit, (first, last, west, east) in zip(_LIT[digit], _PLACES, strict=True):
        if lit == "x":
            image[top + first : top + last, left + west : left + east] = ink
    return image.astype(np.uint8)


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    content = (
        bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )
    if path.name in PLAIN:
        path.write_bytes(content)
    else:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))
