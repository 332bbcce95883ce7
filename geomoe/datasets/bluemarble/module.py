"""The embedded data set as a torchgeo / Lightning data module."""

from __future__ import annotations

from typing import Any

import torch

from geomoe.datasets.bluemarble.index import CROP
from geomoe.datasets.bluemarble.reader import BlueMarble
from geomoe.datasets.module import ImageDataModule


class BlueMarbleDataModule(ImageDataModule):
    """Loaders of the embedded data set.

    ``mean`` and ``std`` are constants measured on the whole Blue Marble image, sea and poles included, so
    they do not depend on the split or the held-out region.
    """

    name = "bluemarble"
    mean = torch.tensor([54.9, 65.4, 80.0])
    std = torch.tensor([82.2, 77.3, 73.1])

    def info(self) -> dict[str, Any]:
        """Return plain facts; the crops have a fixed size, regardless of ``image_size``."""
        return {**super().info(), "image_size": CROP}

    def open(self, split: str) -> BlueMarble:
        """Open train, val, test or held_out."""
        return BlueMarble(self.root, split, self.held_out, split_seed=self.split_seed)
