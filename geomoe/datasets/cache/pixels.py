"""A cache of decoded and resized images in one memory map, from which training reads whole batches.

A cache is a folder: ``pixels.npy`` (N, bands, H, W) of one of KINDS, ``rows.npy`` (N,) int64 rows of the data
set in ascending order, and ``index.json``: the sources, the SHA-256 of each chunk of pixels, of the rows, and
of the index itself, and the images that could not be read. :mod:`geomoe.datasets.cache.make` writes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from geomoe.errors import DataError, InputError, one_line
from geomoe.support.arrays import map_array
from geomoe.support.bounded import read_json
from geomoe.support.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor


log = logging.getLogger(__name__)

INDEX, PIXELS, ROWS = "index.json", "pixels.npy", "rows.npy"
#: Pixel types of caches; values that fit no integer type are stored as float32, as readers return them.
KINDS = ("uint8", "uint16", "int16", "float32")


class Unreadable(NamedTuple):
    """An image that is not in the cache: its row in the data set, and the problem."""

    row: int
    problem: str


class ImageCache:
    """A finished cache, opened for reading.

    Args:
        path: its folder.

    Raises:
        DataError: a file is missing or has the wrong size, or the index was changed.

    Attributes:
        path: its folder.
        index: content of ``index.json``.
        rows: (N,) int64 rows of the data set, ascending.
        pixels: (N, bands, H, W) memory map of one of KINDS.
        unreadable: images that could not be read; their pixels are 0 and are never returned.
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
        kind = self.index.get("dtype", "uint8")  # older versions did not store the type
        if self.pixels.shape != shape or self.pixels.dtype != kind:
            raise damaged(path, f"{PIXELS} holds {self.pixels.dtype} {self.pixels.shape}, not {kind} {shape}")
        if len(self.index["chunks_sha256"]) != -(-len(self.rows) // self.index["chunk"]):
            raise damaged(path, f"{INDEX}: expected a hash for each chunk")
        self._served = np.ones(len(self.rows), dtype=bool)
        self._served[np.searchsorted(self.rows, [row for row, _ in self.unreadable])] = False

    def _open(self, name: str) -> NDArray[Any]:
        try:
            return map_array(self.path / name)
        except (OSError, ValueError) as error:
            raise damaged(self.path, f"{name}: {one_line(error)}") from error

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n,) positions in ``pixels`` of rows of the data set; -1 if a row is not available."""
        found = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.where((self.rows[found] == rows) & self._served[found], found, -1)

    def read(self, rows: NDArray[np.int64], other: Callable[[int], Tensor]) -> Tensor:
        """Return a batch of images.

        Args:
            rows: (n,) rows of the data set.
            other: opens the image at position ``k`` of ``rows`` if it is not in the cache.

        Returns:
            (n, bands, H, W) raw values, uint8 or float32; images opened by ``other`` are rounded as in the
            cache.
        """
        # Bytes are converted on the device. Torch hardly supports uint16, so other types become floats here,
        # where the conversion needs no second copy.
        kind = np.uint8 if self.pixels.dtype == np.uint8 else np.float32
        pixels = self.pixels.view(np.ndarray)  # indexing rows is faster than on a memmap
        images = np.empty((len(rows), *pixels.shape[1:]), dtype=kind)
        for k, at in enumerate(self.positions(rows).tolist()):
            images[k] = pixels[at] if at >= 0 else as_kept(other(k), pixels.dtype)
        return torch.from_numpy(images)

    def chunks(self) -> Iterator[tuple[slice, str]]:
        """Yield the slice and the stored hash of each chunk."""
        return chunk_hashes(self.index["chunk"], len(self.rows), self.index["chunks_sha256"])

    def verify(self) -> None:
        """Read every pixel and compare it with its hash.

        Raises:
            DataError: a chunk has changed since it was written.
        """
        for place, expected in self.chunks():
            if hashlib.sha256(np.ascontiguousarray(self.pixels[place]).data).hexdigest() != expected:
                raise damaged(self.path, f"{PIXELS}: images {place.start} to {place.stop - 1} have changed")

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker maps the files again instead of receiving every pixel.
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]


def as_kept(image: Tensor, kind: np.dtype[Any]) -> NDArray[Any]:
    """Convert an image to the type of a cache: rounded to integers, or unchanged in a cache of floats.

    Args:
        image: float32.
        kind: type of the cache's pixels.
    """
    if kind.kind == "f":
        return image.numpy()
    limits = np.iinfo(kind)
    return image.round().clamp(limits.min, limits.max).numpy().astype(kind)


def chunk_hashes(chunk: int, total: int, hashes: list[str]) -> Iterator[tuple[slice, str]]:
    """Yield the slice and hash of each chunk of ``total`` images."""
    starts = range(0, total, chunk)
    return ((slice(at, min(at + chunk, total)), own) for at, own in zip(starts, hashes, strict=True))


def digest(index: dict[str, Any]) -> str:
    """Return the hash of an index, computed over everything except the hash itself."""
    rest = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Index:
    """The entries of a cache's index that are read again; the other entries identify the images."""

    rows_sha256: str
    shape: tuple[int, ...]
    chunk: int
    chunks_sha256: tuple[str, ...]
    unreadable: tuple[tuple[int, str], ...]
    sha256: str
    dtype: str = "uint8"  # older versions did not store it

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            InputError: one is not positive.
        """
        if self.chunk < 1 or len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"chunk {self.chunk}, shape {list(self.shape)}: expected positive sizes")


def read_index(path: Path) -> dict[str, Any]:
    """Read the index of a cache.

    Raises:
        DataError: the index is missing, or has changed since it was written.
    """
    try:
        index: dict[str, Any] = read_json(path / INDEX)
        known = from_plain(Index, index)
    except ValueError as error:
        raise damaged(path, f"{INDEX}: {one_line(error)}") from error
    intact = known.sha256 == digest(index)
    if not intact:
        raise damaged(path, f"{INDEX} is not what was written")
    return index


def damaged(path: Path, what: str) -> DataError:
    """Return the error for a damaged cache."""
    return DataError(f"{path}: the image cache is damaged ({what}); delete the folder and make it again")
