"""Decoded and resized images of a data set in one memory map, so that training reads them by whole batches.

A cache is a folder: ``pixels.npy`` (N, bands, H, W) of one of KINDS, ``rows.npy`` (N,) int64 rows of the data
set in ascending order, and ``index.json``: what it was made of, the SHA-256 of each chunk of pixels, of the
rows, and of the index itself, and the images that could not be read. It is written by
:mod:`geomoe.datasets.cache.make`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from geomoe.errors import DataError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor


log = logging.getLogger(__name__)

INDEX, PIXELS, ROWS = "index.json", "pixels.npy", "rows.npy"
#: Types of pixels that caches have; what fits in none of the integers is float32, as readers give it.
KINDS = ("uint8", "uint16", "int16", "float32")


class Unreadable(NamedTuple):
    """An image that is not in the cache: its row in the data set, and what is wrong with it."""

    row: int
    problem: str


class ImageCache:
    """A finished cache, opened for reading.

    Args:
        path: its folder.

    Raises:
        DataError: damaged: a file is missing or has another size, or the index is not what was written.

    Attributes:
        path: its folder.
        index: what ``index.json`` says.
        rows: (N,) int64 rows of the data set, ascending.
        pixels: (N, bands, H, W) memory map of one of KINDS.
        unreadable: images that could not be read when it was made; their pixels are 0 and never served.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = read_index(path)
        self.unreadable = tuple(Unreadable(*pair) for pair in self.index["unreadable"])
        self.rows = self._open(ROWS)
        self.pixels = self._open(PIXELS)
        if hashlib.sha256(self.rows.data).hexdigest() != self.index["rows_sha256"]:
            raise damaged(path, f"{ROWS} is not what was written")
        shape = (len(self.rows), *self.index["shape"])
        kind = self.index.get("dtype", "uint8")  # those of older versions do not say so
        if self.pixels.shape != shape or self.pixels.dtype != kind:
            raise damaged(path, f"{PIXELS} holds {self.pixels.dtype} {self.pixels.shape}, not {kind} {shape}")
        self._served = np.ones(len(self.rows), dtype=bool)
        self._served[np.searchsorted(self.rows, [row for row, _ in self.unreadable])] = False

    def _open(self, name: str) -> NDArray[Any]:
        try:
            return np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise damaged(self.path, f"{name}: {one_line(error)}") from error

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) where rows of the data set lie in ``pixels``; -1 for those that are not served."""
        found = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.where((self.rows[found] == rows) & self._served[found], found, -1)

    def read(self, rows: NDArray[np.int64], other: Callable[[int], Tensor]) -> Tensor:
        """A whole batch of images.

        Args:
            rows: (n,) rows of the data set.
            other: opens the image at a position of ``rows`` that is not in the cache.

        Returns:
            (n, bands, H, W) raw values, uint8 or float32; images from elsewhere are rounded, as those of the
            cache were.
        """
        # Bytes stay bytes until they are on the device. Of uint16 torch knows little more than its name, so
        # others become floats, and here, where it costs no second copy.
        kind = np.uint8 if self.pixels.dtype == np.uint8 else np.float32
        pixels = self.pixels.view(np.ndarray)  # its rows are taken faster than a memmap's
        images = np.empty((len(rows), *pixels.shape[1:]), dtype=kind)
        for k, at in enumerate(self.positions(rows).tolist()):
            images[k] = pixels[at] if at >= 0 else as_kept(other(k), pixels.dtype)
        return torch.from_numpy(images)

    def chunks(self) -> Iterator[tuple[slice, str]]:
        """Each chunk's place and the hash that it had when it was made."""
        return chunk_hashes(self.index["chunk"], len(self.rows), self.index["chunks_sha256"])

    def verify(self) -> None:
        """Read every pixel and compare it with its hash.

        Raises:
            DataError: a chunk is not what was written.
        """
        for place, expected in self.chunks():
            if hashlib.sha256(np.ascontiguousarray(self.pixels[place]).data).hexdigest() != expected:
                raise damaged(self.path, f"{PIXELS}: images {place.start} to {place.stop - 1} have changed")

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned maps the files again instead of receiving every pixel.
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]


def as_kept(image: Tensor, kind: np.dtype[Any]) -> NDArray[Any]:
    """An image as a cache keeps it: rounded to whole levels, or, in a cache of floats, as it is.

    Args:
        image: float32.
        kind: type of the cache's pixels.
    """
    if kind.kind == "f":
        return image.numpy()
    limits = np.iinfo(kind)
    return image.round().clamp(limits.min, limits.max).numpy().astype(kind)


def chunk_hashes(chunk: int, total: int, hashes: list[str]) -> Iterator[tuple[slice, str]]:
    """Places of the chunks of ``total`` images, each with its hash."""
    starts = range(0, total, chunk)
    return ((slice(at, min(at + chunk, total)), own) for at, own in zip(starts, hashes, strict=True))


def digest(index: dict[str, Any]) -> str:
    """Hash of an index: of everything in it but the hash."""
    rest = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_index(path: Path) -> dict[str, Any]:
    """The index of a cache.

    Raises:
        DataError: it is not there, or not what was written.
    """
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        intact = index["sha256"] == digest(index)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"{INDEX}: {one_line(error)}") from error
    if not intact:
        raise damaged(path, f"{INDEX} is not what was written")
    return index


def damaged(path: Path, what: str) -> DataError:
    """The error for a cache that cannot be trusted."""
    return DataError(f"{path}: the image cache is damaged ({what}); delete the folder and make it again")
