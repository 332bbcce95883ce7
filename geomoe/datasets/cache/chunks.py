"""The images of a cache, once each, and chunks of them: decoded, hashed and written together."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from geomoe.datasets.cache.pixels import KINDS, Unreadable, as_kept
from geomoe.errors import DataError
from geomoe.support.files import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

ADVICE = "point GEOMOE_CACHE to a folder with room"
SIZE = "give one size with --model.image_size"


class Sources(NamedTuple):
    """Every image of a data set once, even if it is in several splits.

    Attributes:
        parts: the splits.
        rows: (N,) int64 rows of the data set, ascending.
        part: (N,) index in ``parts`` of the split that has the image.
        place: (N,) position of the image in that split.
    """

    parts: tuple[LabelledImages, ...]
    rows: NDArray[np.int64]
    part: NDArray[np.int64]
    place: NDArray[np.int64]

    def open(self, k: int) -> NDArray[Any]:
        """Return the resized image at position ``k`` of ``rows``: (bands, H, W), in the type of the cache.

        Raises:
            DataError: the image cannot be read.
            ValueError: a cache cannot store its type.
        """
        data, index = self.parts[self.part[k]], int(self.place[k])
        image = data.load_image(index)
        kind = data.pixel_type or str(image.dtype).removeprefix("torch.")
        if kind not in KINDS:
            msg = f"row {self.rows[k]} has an image of {kind}; a cache keeps {', '.join(KINDS)}"
            raise ValueError(msg)
        return as_kept(data.sized(image), np.dtype(kind))


def gather(parts: Sequence[LabelledImages]) -> Sources:
    """Merge splits by row; splits may overlap."""
    rows = np.concatenate([data.rows for data in parts])
    part = np.repeat(np.arange(len(parts)), [len(data) for data in parts])
    place = np.concatenate([np.arange(len(data)) for data in parts])
    unique, first = np.unique(rows, return_index=True)
    return Sources(tuple(parts), unique, part[first], place[first])


class Chunks(Dataset[dict[str, Any]]):
    """Chunks of images: reading an item decodes one chunk and writes it, in one process.

    Args:
        sources: the images.
        path: the file of pixels.
        size: number of images in a chunk.
    """

    def __init__(self, sources: Sources, path: Path, size: int) -> None:
        self.sources, self.path, self.size = sources, path, size

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return number, hash and unreadable images of a chunk; ``fault`` if it cannot be cached."""
        pixels = np.lib.format.open_memmap(self.path, mode="r+")
        begin = number * self.size
        block = np.zeros_like(pixels[begin : begin + self.size], subok=False)
        bad: list[Unreadable] = []
        for k in range(len(block)):
            row = int(self.sources.rows[begin + k])
            try:
                image = self.sources.open(begin + k)
            except DataError as error:
                bad.append(Unreadable(row, str(error)))
                continue
            except ValueError as error:
                return {"fault": str(error)}
            if image.shape != block.shape[1:]:
                return {
                    "fault": f"row {row} has an image {image.shape}, others have {block.shape[1:]}; {SIZE}"
                }
            if image.dtype != block.dtype:
                return {"fault": f"row {row} has an image of {image.dtype}, others have {block.dtype}"}
            block[k] = image
        try:
            pixels[begin : begin + self.size] = block
            pixels.flush()
        except OSError as error:
            return {"fault": f"{self.path}: cannot be written: {reason(error)}; {ADVICE}"}
        return {"chunk": number, "sha256": hashlib.sha256(block.data).hexdigest(), "unreadable": bad}
