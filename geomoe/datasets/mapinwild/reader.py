"""MapInWild for whole-image classification: geomoe's protocol ``majority-v1``."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.mapinwild.regions import REGIONS, regions_of
from geomoe.datasets.mapinwild.scenes import (
    BANDS,
    SCENES,
    SEASON,
    SPLITS,
    file_of,
    find_folder,
    read_table,
)
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import ConfigError, DataError
from geomoe.reading.opening import open_raster
from geomoe.reading.raster import load_image, read_pixels
from geomoe.support.words import unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

log = logging.getLogger(__name__)

ROOT = "data"  # where torchgeo looks unless told otherwise
PROTOCOLS = ("majority-v1",)
CELL = 6.0  # degrees on a side of the blocks that intervals are resampled in, as for FMoW
MEASURED = 128  # training images of which the statistics are measured
WINDOW = 480  # pixels on a side of the part that is measured, in the middle


class MapInWild(LabelledImages):
    """Sentinel-2 scenes of 1,018 places, labelled by whether most of the scene is a protected area.

    A sample is as in :class:`LabelledImages`, with ``image`` (bands, H, W) raw reflectance times 10,000
    and one further column, ``share`` (float64, 0 to 1), the protected part of the mask.

    Protocol ``majority-v1``: the label is 1 (protected) if more than half of the mask is not 0, as
    torchgeo makes the mask binary; the splits are the data set's own; the domain is the region of the Earth
    nearest to the centre of the scene. Source of the data: Ekim et al. (2023), "MapInWild", arXiv 2212.02265.

    Attributes:
        scenes: (N,) int64 ids of the scenes; a file is ``s2_summer/ID.tif``.
        shares: (N,) float64.
    """

    classes = ("mostly unprotected", "mostly protected")
    regions = REGIONS
    uncounted = ("Other",)
    domain_unit = "region"
    pixel_type = "uint16"
    scale = (0.0, 3000.0)

    def __init__(
        self,
        root: str | os.PathLike[str] = ROOT,
        split: str = "train",
        held_out: str | None = None,
        *,
        protocol: str | None = None,
        bands: Sequence[int] = (),
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    ) -> None:
        """Read the splits and the masks, once in a process; no image is opened.

        Args:
            root: folder that has ``split_IDs.csv``, or the one above it.
            split: train, val, test or held_out (the held-out region's part of test).
            held_out: region that train and val leave out; test keeps every region.
            protocol: ``majority-v1``; None: the same.
            bands: band numbers, counted from 1 (B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12); empty: all ten.
            image_size: side in pixels to which images are resized; None: not resized (1,920).
            transforms: applied to each sample.

        Raises:
            ConfigError: unknown split, region, protocol or band.
            DatasetNotFoundError: the data is missing.
            DataError: the file of splits or a mask cannot be used, or the place of a scene is not known.
        """
        for key, value, known in (
            ("split", split, (*SPLITS, "held_out")),
            ("data.held_out", held_out, REGIONS),
            ("data.protocol", protocol, PROTOCOLS),
        ):
            if value is not None and value not in known:
                raise ConfigError(unknown(key, "such name of mapinwild", value, known))
        if split == "held_out" and held_out is None:
            raise ConfigError("split: held_out needs data.held_out, the region that is left out")
        if any(not 1 <= band <= BANDS for band in bands):
            raise ConfigError(f"data.bands: mapinwild has bands 1 to {BANDS}; got {list(bands)}")
        self.bands = tuple(bands) or tuple(range(1, BANDS + 1))
        self.rgb = (2, 1, 0) if not bands else (0, 1, 2)
        self.folder = find_folder(root)
        table = read_table(self.folder)
        self.total = len(table.scene)
        domain = regions_of(table.lonlat)
        chosen = table.split == ("test" if split == "held_out" else split)
        if held_out is not None and split != "test":
            chosen &= (domain == REGIONS.index(held_out)) == (split == "held_out")
        rows = np.flatnonzero(chosen)
        self.scenes, self.shares = table.scene[rows], table.share[rows]
        corner = np.floor((table.lonlat[rows] + [180.0, 90.0]) / CELL).astype(np.int64)
        columns = Columns(
            table.lonlat[rows],
            (self.shares > 0.5).astype(np.int64),
            domain[rows],
            corner[:, 1] * round(360 / CELL) + corner[:, 0],
            rows,
        )
        facts = [
            PROTOCOLS[0].encode(),
            *(column.tobytes() for column in (table.scene, table.share, table.lonlat)),
        ]
        facts.append("".join(table.split).encode())
        super().__init__(
            columns,
            split=split,
            image_size=image_size,
            transforms=transforms,
            extra={"share": self.shares},
            data_hash=hashlib.sha256(b" ".join(facts)).hexdigest(),
        )
        if self.total != SCENES:
            log.warning("%s: has %d scenes, a part of the %d of MapInWild", self.folder, self.total, SCENES)

    @property
    def image_key(self) -> str:
        """The key of the image cache: the data set's hash and the bands."""
        return f"{self.data_hash} {self.bands}"

    def load_image(self, index: int) -> Tensor:
        """(bands, H, W) float32 raw values; 0 where data is missing.

        Raises:
            DataError: the file is missing, unreadable, or has other bands; the message names it.
        """
        fill = np.zeros(len(self.bands), dtype=np.float32)
        return load_image(self._path(index), self.bands, fill)

    def absent_files(self) -> list[Path]:
        """Missing images of this split."""
        paths = map(self._path, range(len(self)))
        return [path for path in paths if not path.is_file()]

    def _path(self, index: int) -> Path:
        return file_of(self.folder, SEASON, int(self.scenes[index]))


class MapInWildDataModule(ImageDataModule):
    """Loaders of MapInWild. Mean and standard deviation are measured on training images."""

    name = "mapinwild"

    def open(self, split: str) -> MapInWild:
        """Open train, val, test or held_out."""
        return MapInWild(
            self.root or ROOT,
            split,
            self.held_out,
            protocol=self.options.get("protocol"),
            bands=self.options.get("bands") or (),
            image_size=self.image_size,
        )

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(bands,) mean and standard deviation, over the middle of up to 128 training images; measured once.

        Raises:
            DataError: there are no training images, or one cannot be read.
        """
        if "_statistics" not in vars(self):
            self._statistics = measure(self.dataset("train"))  # type: ignore[arg-type]
        return self._statistics


def measure(data: MapInWild) -> tuple[Tensor, Tensor]:
    """(bands,) mean and standard deviation of raw values that hold data, in float64; 1 for a constant band.

    Raises:
        DataError: there are no images, or one cannot be read.
    """
    if not len(data):
        raise DataError(f"mapinwild: split {data.split} has no scenes to measure the bands on")
    chosen = np.arange(len(data))
    if len(chosen) > MEASURED:
        chosen = np.random.default_rng(0).choice(len(data), MEASURED, replace=False)
    sums = np.zeros((3, len(data.bands)))
    for index in np.sort(chosen):
        with open_raster(data._path(int(index))) as source:
            width, height = min(WINDOW, source.width), min(WINDOW, source.height)
            corner = (source.width - width) // 2, (source.height - height) // 2
            values = read_pixels(source, data.bands, (*corner, width, height)).astype(np.float64)
        values = values.reshape(len(data.bands), -1)
        sums += np.array([(~np.isnan(values)).sum(1), np.nansum(values, 1), np.nansum(values**2, 1)])
    number, total, squares = sums
    if (number == 0).any():
        raise DataError(
            f"mapinwild: band {data.bands[int(number.argmin())]} holds no data in any training image"
        )
    mean = total / number
    std = np.sqrt(np.maximum(squares / number - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(np.where(std > 0, std, 1.0)).float()
