"""The embedded data set as a torchgeo / Lightning data module."""

from __future__ import annotations

from typing import Any

import torch

from geomoe.datasets.bluemarble.index import CROP
from geomoe.datasets.bluemarble.reader import BlueMarble
from geomoe.datasets.module import ImageDataModule


class BlueMarbleDataModule(ImageDataModule):
    """Loaders of the embedded data set.

    ``mean`` and ``std`` are those of the whole Blue Marble image, sea and poles included: constants
    that no split and no held-out region can change.
    """

    name = "bluemarble"
    mean = torch.tensor([54.9, 65.4, 80.0])
    std = torch.tensor([82.2, 77.3, 73.1])

    def info(self) -> dict[str, Any]:
        """Plain facts; the crops have one size, whatever ``image_size`` says."""
        return {**super().info(), "image_size": CROP}

    def open(self, split: str) -> BlueMarble:
        """Open train, val, test or held_out."""
        return BlueMarble(self.root, split, self.held_out, split_seed=self.split_seed)
