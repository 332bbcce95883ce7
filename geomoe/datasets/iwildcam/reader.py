"""iWildCam as WILDS 2.0 gives it: camera traps, 182 classes, one domain for each camera."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.iwildcam.tables import SPLITS, read_places, read_table
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import ConfigError, DatasetNotFoundError
from geomoe.fetching.download import found_or_fetched
from geomoe.reading.pictures import absent, read_rgb

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

log = logging.getLogger(__name__)

ROOT = "data"  # where torchgeo and WILDS look unless told otherwise
FOLDER = "iwildcam_v2.0"
GPS = "gps_locations.json"


class IWildCam(LabelledImages):
    """Camera-trap pictures with their animal, their camera and, for some, their place.

    A sample is a dict of tensors: those of :class:`LabelledImages`, and ``timestamp`` (float64, seconds
    since 1970 of the camera's own clock), ``location`` (int64, the camera's raw id) and ``sequence``
    (int64: the burst). ``image`` is (3, H, W) in 0..255; widths differ between cameras, so batches need
    ``image_size``, to which both sides are resized, as in WILDS.

    The five official splits: train, id_val and id_test have the same cameras at other times; val and
    test each have cameras of their own. A camera's place is looked up by its raw id; the published
    places are moved by up to 1 km, and a whole country's cameras have none (NaN, NaN). Source: Beery et
    al. (2021), arXiv 2105.03494; Koh et al. (2021), WILDS, arXiv 2012.07421, section E.2.

    Attributes:
        locations: (C,) int64 raw id of each camera; ``regions`` has the names, ``camera 412``.
        places: (C, 2) lonlat degrees of each camera, NaN, NaN where unknown.
        train_domains: ids of the cameras of the train split.
    """

    splits = SPLITS
    domain_unit = "camera"
    block_unit = "sequence"  # pictures of one burst are near copies: intervals draw whole bursts

    def __init__(
        self,
        root: str | os.PathLike[str] = ROOT,
        split: str = "train",
        *,
        gps: str | os.PathLike[str] | None = GPS,
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """Read the tables; no picture is opened.

        Args:
            root: folder that holds ``iwildcam_v2.0``, or that folder itself.
            split: train, val, test (other cameras), id_val or id_test (the cameras of train).
            gps: file of the cameras' places, in the data's folder or in ``root``; None: no places.
            image_size: side in pixels to which pictures are resized; None: not resized.
            transforms: applied to each sample.
            download: fetch missing files (12 GB), checked by their published hashes.
            checksum: compare metadata.csv and gps_locations.json with their published hashes.

        Raises:
            ConfigError: unknown split.
            DatasetNotFoundError: the data, or the requested file of places, is missing.
            DownloadError: a requested download failed.
            DataError: a table contradicts itself (see :func:`read_table` and :func:`read_places`), or has
                another hash than the published one.
        """
        if split not in SPLITS:
            msg = f"split: iwildcam has {', '.join(SPLITS)}; got {split!r}"
            raise ConfigError(msg)
        self.root, self.download, self.checksum = root, download, checksum
        self.folder, path = found_or_fetched(
            lambda: _find(root, gps),
            "iwildcam",
            root,
            download=download,
            checksum=checksum,
            folder=lambda found: found[0],
        )
        table = read_table(self.folder)
        count = len(table.locations)
        self.places = np.full((count, 2), np.nan) if path is None else read_places(path, table.locations)
        self.classes, self.locations = table.classes, table.locations
        self.regions = tuple(camera_names(table.locations))
        self.train_domains = tuple(np.unique(table.camera[table.split == SPLITS.index("train")]).tolist())
        rows = np.flatnonzero(table.split == SPLITS.index(split))
        camera = table.camera[rows]
        self.filenames, self._tables = table.filename[rows], table.sha256
        columns = Columns(self.places[camera], table.label[rows], camera, table.sequence[rows], rows)
        extra = {
            "timestamp": table.timestamp[rows],
            "location": table.locations[camera],
            "sequence": table.sequence[rows],
        }
        key = table.sha256 if path is None else table.sha256 + hashlib.sha256(path.read_bytes()).hexdigest()
        super().__init__(
            columns,
            split=split,
            image_size=image_size,
            transforms=transforms,
            extra=extra,
            data_hash=hashlib.sha256(key.encode()).hexdigest(),
        )
        self._tell()

    @property
    def image_key(self) -> str:
        """The key of the image cache: the tables' hash, because places do not change the pictures."""
        return self._tables

    def name_of(self, index: int) -> str:
        """The file of an image."""
        return str(self.filenames[index])

    def load_image(self, index: int) -> Tensor:
        """Open one picture: (3, H, W) uint8; WILDS keeps those of every split in ``train/``.

        Raises:
            DataError: the file is missing or unreadable; the message names it.
        """
        return read_rgb(self.folder / "train" / str(self.filenames[index]))

    def absent_files(self) -> list[Path]:
        """Missing pictures of this split."""
        return absent(self.folder / "train", map(str, self.filenames))

    def _tell(self) -> None:
        known, camera = ~np.isnan(self.places[:, 0]), np.unique(self.domains)
        log.info(
            "iwildcam %s: %d of %d cameras and %d of %d pictures have a place",
            self.split, known[camera].sum(), len(camera), known[self.domains].sum(), len(self),
        )  # fmt: skip


class IWildCamDataModule(ImageDataModule):
    """Loaders of iWildCam. ``data.metadata`` names the file of places; pixels are scaled as ImageNet's."""

    name = "iwildcam"

    def open(self, split: str) -> IWildCam:
        """Open train, val, test, id_val or id_test.

        Raises:
            ConfigError: a held-out camera was requested; the official splits already have unseen cameras.
        """
        if self.held_out is not None:
            msg = (
                "data.held_out: iwildcam's val and test are cameras that train does not have; "
                f"leave it out, got {self.held_out!r}"
            )
            raise ConfigError(msg)
        gps = self.options.get("metadata", GPS)
        return IWildCam(self.root or ROOT, split, gps=gps, image_size=self.image_size)

    def info(self) -> dict[str, Any]:
        """Plain facts; ``train_domains``: cameras that a router of camera ids can know."""
        return {**super().info(), "train_domains": list(self.dataset("test").train_domains)}  # type: ignore[attr-defined]


def camera_names(locations: NDArray[np.int64]) -> list[str]:
    """Domain names of cameras, by their raw ids."""
    return [f"camera {location}" for location in locations]


def _find(root: str | os.PathLike[str], gps: str | os.PathLike[str] | None) -> tuple[Path, Path | None]:
    folder = find_folder(root)
    return folder, None if gps is None else find_places(folder, gps)


def find_folder(root: str | os.PathLike[str]) -> Path:
    """Find the folder with the tables: ``root/iwildcam_v2.0``, or ``root`` itself.

    Raises:
        DatasetNotFoundError: neither has them, or the pictures are missing.
    """
    advice = "get WILDS' iwildcam_v2.0 (12 GB; `geomoe data download iwildcam`), say where by --data-root"
    folders = [Path(root).expanduser() / FOLDER, Path(root).expanduser()]
    for folder in folders:
        if not (folder / "metadata.csv").is_file():
            continue
        for missing, there in (
            ("categories.csv", (folder / "categories.csv").is_file()),
            ("train", (folder / "train").is_dir()),
        ):
            if not there:
                msg = f"iwildcam: {folder} has metadata.csv but no {missing}: an incomplete copy; {advice}"
                raise DatasetNotFoundError(msg)
        return folder
    msg = f"iwildcam: no metadata.csv in {folders[0]} or {folders[1]}; {advice}"
    raise DatasetNotFoundError(msg)


def find_places(folder: Path, gps: str | os.PathLike[str]) -> Path:
    """The file of camera places: an absolute path, or a name in the data's folder or the one above it.

    Raises:
        DatasetNotFoundError: there is no such file.
    """
    name = Path(gps).expanduser()
    candidates = [name] if name.is_absolute() else [folder / name, folder.parent / name]
    for path in candidates:
        if path.is_file():
            return path
    msg = (
        f"iwildcam: no {' or '.join(map(str, candidates))}: the cameras' places (`geomoe data download "
        "iwildcam` fetches gps_locations.json of iWildCam 2022); --data.metadata null goes without places"
    )
    raise DatasetNotFoundError(msg)
