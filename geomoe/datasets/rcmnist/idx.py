"""Read MNIST in torchvision's layout: big-endian IDX files under ``MNIST/raw``, gzipped or not.

torchvision's reader is not used: on a truncated file or another magic number it raises a TypeError,
AssertionError or RuntimeError that names no file, and it cannot read gzipped files.
"""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import DataError, DatasetNotFoundError
from geomoe.fetching.unpack import gunzip
from geomoe.support.text import counted

RAW = Path("MNIST") / "raw"
#: part -> (images, labels); the original file names of http://yann.lecun.com/exdb/mnist.
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SIDE = 28
UNSIGNED_BYTE = 0x08  # the third byte of the magic number is the type, the fourth the number of axes


class Digits(NamedTuple):
    """Both parts of MNIST, the training file first.

    Attributes:
        images: (N, 28, 28) uint8, 0 is background and 255 is ink.
        digit: (N,) int64, 0 to 9.
        train: number of images from the training file.
        sha256: hash of the pixels and labels.
    """

    images: NDArray[np.uint8]
    digit: NDArray[np.int64]
    train: int
    sha256: str


def read_digits(root: str | os.PathLike[str]) -> Digits:
    """Read the four files of MNIST.

    Args:
        root: the folder that contains ``MNIST/raw``, as for torchvision's MNIST, or that folder itself.

    Raises:
        DatasetNotFoundError: a file exists neither plain nor gzipped.
        DataError: a file is truncated or does not match its name.
    """
    folder = find_raw(root)
    images, labels = [], []
    for image_name, label_name in FILES.values():
        pixels = read_idx(find_file(folder, image_name), axes=3)
        digit = read_idx(find_file(folder, label_name), axes=1)
        _check(folder / image_name, pixels, digit)
        images.append(pixels)
        labels.append(digit.astype(np.int64))
    every, digits = np.concatenate(images), np.concatenate(labels)
    sha256 = hashlib.sha256(every.data)
    sha256.update(digits.data)
    return Digits(every, digits, len(images[0]), sha256.hexdigest())


def find_raw(root: str | os.PathLike[str]) -> Path:
    """Find the folder of the four files: ``root/MNIST/raw``, or ``root`` if it contains them."""
    own = Path(root).expanduser()
    first = FILES["train"][0]
    return own if any((own / name).is_file() for name in (first, f"{first}.gz")) else own / RAW


def find_file(folder: Path, name: str) -> Path:
    """Find one file, plain or gzipped.

    Raises:
        DatasetNotFoundError: neither exists.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    msg = (
        f"{folder}: there is no {name} or {name}.gz; data.root is the folder with MNIST/raw, as torchvision "
        "has it (`geomoe data download rcmnist` fetches it)"
    )
    raise DatasetNotFoundError(msg)


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes: magic number, one big-endian int32 for each axis, the values.

    Args:
        path: the file; gzipped if its name ends in ``.gz``.
        axes: required number of axes.

    Raises:
        DataError: the file cannot be read, or its type, number of axes or length is wrong.
    """
    try:
        content = path.read_bytes()
        content = gunzip(content, path) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise DataError(f"{path}: cannot be read ({error or 'truncated'}); copy the file again") from error
    start = 4 + 4 * axes
    magic = bytes((0, 0, UNSIGNED_BYTE, axes))
    if content[:4] != magic or len(content) < start:
        found = content[:4].hex() or "nothing"
        raise DataError(f"{path}: an IDX file of this name begins with {magic.hex()}; this one with {found}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, 4))
    if len(content) - start != math.prod(shape):
        size = math.prod(shape) + start
        raise DataError(f"{path}: should have {size:,} bytes ({shape}), has {len(content):,}; copy it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _check(path: Path, pixels: NDArray[np.uint8], digit: NDArray[np.uint8]) -> None:
    if pixels.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{path}: images of {SIDE} x {SIDE} pixels are expected; got {pixels.shape[1:]}")
    if len(pixels) != len(digit):
        raise DataError(f"{path}: has {counted(len(pixels), 'image')}, and its file of labels {len(digit)}")
    if not len(digit):
        raise DataError(f"{path}: has no images; copy it again")
    if digit.max() > 9:
        raise DataError(f"{path}: labels are digits 0 to 9; its file of labels has {digit.max()}")
