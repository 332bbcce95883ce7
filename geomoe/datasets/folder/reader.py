"""Read a user's images and points: a folder, a table, and the metadata of the images."""

from __future__ import annotations

import hashlib
import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.folder.decide import Rule
from geomoe.datasets.folder.index import Index, hash_of, make_index
from geomoe.datasets.folder.scan import changed_unseen
from geomoe.datasets.folder.side_files import SideFiles
from geomoe.datasets.folder.source import find_source, read_source
from geomoe.datasets.folder.split import LEFT_OUT
from geomoe.datasets.folder.statistics import Statistics, measure, spread
from geomoe.datasets.module import ImageDataModule
from geomoe.datasets.of_domains import domain_id
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError
from geomoe.reading.class_folders import says
from geomoe.reading.raster import load_image
from geomoe.support.cells import safe_cell
from geomoe.support.files import whole_file
from geomoe.support.text import counted
from geomoe.support.words import unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from geomoe.reading.image_table import Table

log = logging.getLogger(__name__)

_NULL = (
    "a domain is called 'null', and it is trained on: --held-out null and `held_out: null` hold out nothing; "
    'to hold this domain out, give --held-out \'"null"\', or `held_out: "null"` in a file'
)


class FolderImages(LabelledImages):
    """One split of a user's images.

    Args:
        root: base folder of the file names.
        index: every image.
        chosen: (n,) rows of the index that belong to the split.
        split: name of the split.
        statistics: statistics of the training images; their mean fills pixels without data.
        bands: band numbers, counted from 1; empty: all.
        image_size: side in pixels; None: not resized.
        domain_unit: one word for a domain.
        allow_vrt: whether to read VRTs; their sources must be in ``root``.
    """

    def __init__(
        self,
        root: Path,
        index: Index,
        chosen: NDArray[np.int64],
        *,
        split: str,
        statistics: Statistics,
        bands: tuple[int, ...] = (),
        image_size: int | None = None,
        domain_unit: str = "domain",
        allow_vrt: bool = False,
    ) -> None:
        self.domain_unit = domain_unit
        self.root, self.bands, self.statistics = root, bands, statistics
        self.vrt_root = root if allow_vrt else None
        self.classes, self.regions = index.classes, index.domains
        self.filenames = index.filename[chosen]
        self.rgb = (0, 1, 2)
        low, high = statistics.mean - 2 * statistics.std, statistics.mean + 2 * statistics.std
        self.scale = (float(low[:3].min()), float(high[:3].max()))
        self.fill, self.pixels = statistics.mean.astype(np.float32), index.pixels
        self.pixel_type = index.pixels.dtype
        self.countries, self.remarks, self.doubts = index.countries, index.remarks, index.doubts
        columns = {"timestamp": index.timestamp, "country": index.country}
        extra = {name: column[chosen] for name, column in columns.items() if column is not None}
        super().__init__(
            Columns(*(column[chosen] for column in index.columns)),  # type: ignore[arg-type]
            split=split,
            image_size=image_size,
            extra=extra,
            data_hash=index.data_hash,
        )
        self.earlier_hashes = index.earlier_hashes
        self.contents, self.types = index.content[chosen], index.dtype[chosen]
        self.footprints, self.groups = index.footprints.take(chosen), index.groups[chosen]
        self.parents = index.parents[chosen]
        self.ground = np.stack([index.metres[chosen], index.side[chosen]], axis=1)
        self.overlapping = ({"test", "held_out"}, *({LEFT_OUT, name} for name in set(index.split)))

    def name_of(self, index: int) -> str:
        """The file of an image."""
        return str(self.filenames[index])

    def type_of(self, index: int) -> str:
        """The type that holds the values of every band of an image's file."""
        return str(self.types[index])

    def load_image(self, index: int) -> Tensor:
        """Read (bands, H, W) float32 raw values; missing pixels get the mean of the training images.

        Raises:
            DataError: the file is missing or unreadable.
        """
        return load_image(self.root / self.filenames[index], self.bands, self.fill, None, self.vrt_root)

    @property
    def image_key(self) -> str:
        """Return the cache key: the files, and the fill value if pixels may lack data.

        The fill value is the mean of this run's training images, so runs with other training images (another
        held-out domain or split) must not share filled pixels; without missing pixels all runs share one
        cache. Storing a mask instead would not work: images are filled before resizing, which mixes both.
        """
        return self._image_key(self.pixels.key)

    @property
    def earlier_image_keys(self) -> tuple[str, ...]:  # type: ignore[override]
        """The key of a cache of 0.1.0, which followed sizes and times."""
        return (self._image_key(self.pixels.earlier),)

    def _image_key(self, key: str) -> str:
        filled = self.fill.tobytes() if self.pixels.gaps else b""
        return hashlib.sha256(key.encode() + filled).hexdigest()


class FolderDataModule(ImageDataModule):
    """Loaders over a folder of images and a table; see docs/datasets/folder.md."""

    name = "folder"

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands to read, counted from 1; empty: all."""
        return tuple(self.options.get("bands") or ())

    @property
    def allow_vrt(self) -> bool:
        """Whether to read VRTs."""
        return bool(self.options.get("allow_vrt"))

    @cached_property
    def folder(self) -> Path:
        """The folder of images.

        Raises:
            DatasetNotFoundError: no folder is given, or it does not exist.
        """
        if self.root is None:
            msg = "data.root: folder needs the folder of your images; give --data-root DIR --metadata FILE"
            raise DatasetNotFoundError(msg)
        folder = Path(self.root).expanduser()
        if not folder.is_dir():
            raise DatasetNotFoundError(f"data.root: no such folder of images: {folder}")
        return folder

    @cached_property
    def metadata(self) -> Path:
        """The table, or the folder of images if there is none and its class folders are used instead.

        Raises:
            DatasetNotFoundError: the table or folder does not exist.
        """
        return find_source(self.folder, self.options.get("metadata"))

    @cached_property
    def table(self) -> Table:
        """The table, or the names of the class folders."""
        names = self.options.get("domain_by"), self.options.get("columns") or ()
        return read_source(self.metadata, *names, allow_vrt=self.allow_vrt)

    @cached_property
    def files(self) -> SideFiles:
        """The side files that are made once and stored next to the table."""
        return SideFiles(self.metadata, safe_csv=bool(self.options.get("safe_csv")))

    @cached_property
    def index(self) -> Index:
        """Every usable image; read once.

        Raises:
            DatasetNotFoundError: no folder or no table.
            DataError: a table or images that cannot be used; see docs/datasets/folder.md for what is skipped.
        """
        rule = Rule(
            self.split_seed,
            self.options.get("split_version") or Rule().version,
            self.options.get("split_buffer_km") or 0.0,
        )
        table = self.table
        if self.metadata.is_dir():
            log.info("%s", says(table, self.metadata))
        own = (self.files, self.bands, rule, self.allow_vrt)
        index = make_index(table, self.folder, self.metadata, *own)
        if self.held_out is None and "null" in index.domains:
            log.warning("%s: %s", self.metadata, _NULL)
        if self.metadata.is_dir():
            placed, count = int((~np.isnan(index.columns.lonlat[:, 0])).sum()), len(index.filename)
            log.info("%d of %d images have a place, by their georeference", placed, count)
        return index

    def verify(self) -> list[str]:
        """Compare every byte of all images with what earlier runs saw; see :func:`changed_unseen`."""
        vrt_root = self.folder if self.allow_vrt else None
        names = self.table.filename.tolist()
        wrong = changed_unseen(names, self.folder, self.files, vrt_root)
        if not wrong:
            return []
        have = counted(len(wrong), "image has", "images have")
        text = f"{have} changed since an earlier run, although size and time have not; first: "
        return [f"{text}{wrong[0]}; checkpoints and caches from before the change are of other pixels"]

    def write_index(self, folder: Path) -> None:
        """Write ``samples.csv`` with the split and block of each image, as used by this run.

        Images of train and val that the protocol leaves out (a held-out domain, domains that are not in
        ``train_domains``) are in split ``left_out``.
        """
        index = self.index
        split = index.split.copy()
        for name in ("train", "val"):
            unused = split == name
            unused[self.rows(name)] = False
            split[unused] = LEFT_OUT
        columns = {"filename": index.filename, "split": split, "block": index.columns.block}
        places = {"lon": index.columns.lonlat[:, 0], "lat": index.columns.lonlat[:, 1]}
        frame = pd.DataFrame({**columns, **places})
        frame = frame.map(safe_cell) if self.files.safe_csv else frame
        with whole_file(folder / "samples.csv") as scratch:
            frame.to_csv(scratch, index=False)

    def split_names(self) -> tuple[str, ...]:
        """Every split, including further ones that the table names."""
        return tuple(dict.fromkeys([*super().split_names(), *self.index.split.tolist()]))

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of the index in a split, under the protocol.

        Raises:
            ConfigError: the split or domain is unknown.
            DataError: the split has no images.
        """
        index, held_out = self.index, self.held_out
        if held_out is not None and held_out not in index.domains:
            raise ConfigError(unknown("data.held_out", "domain", held_out, index.domains))
        names = list(dict.fromkeys(["train", "val", "test", *index.split.tolist()]))
        if split == "held_out" and held_out is None:
            raise ConfigError("split held_out: this run holds no domain out; give data.held_out")
        if split not in (*names, "held_out"):
            raise ConfigError(unknown("split", "split", split, names))
        chosen = index.split == ("test" if split == "held_out" else split)
        if held_out is not None:
            outside = index.columns.domain == index.domains.index(held_out)
            if split in ("train", "val"):
                chosen &= ~outside
            if split == "held_out":
                chosen &= outside
        names = self.options.get("train_domains", ())
        if names and split in ("train", "val"):
            chosen &= np.isin(index.columns.domain, [domain_id(name, index.domains) for name in names])
        if not chosen.any():
            raise DataError(
                f"{self.metadata}: no image is in split {split} (held out: {held_out or 'nothing'})"
            )
        return np.flatnonzero(chosen)

    def open(self, split: str) -> FolderImages:
        """Open train, val, test, held_out or another split that the table names."""
        chosen = self.rows(split)
        return FolderImages(
            self.folder,
            self.index,
            chosen,
            split=split,
            statistics=self.measured,
            bands=self.bands,
            image_size=self.image_size,
            domain_unit=self.options.get("domain_by") or "domain",
            allow_vrt=self.allow_vrt,
        )

    @cached_property
    def measured(self) -> Statistics:
        """Return mean and standard deviation of each band over the training images; computed once."""
        index, chosen = self.index, self.rows("train")
        names = index.filename[chosen]
        key = hash_of([names, index.content[chosen], self.bands])[:16]
        vrt_root = self.folder if self.allow_vrt else None
        return measure(self.folder, names, self.bands, index.bands, self.files, key, vrt_root)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return (bands,) mean and standard deviation of the training images' raw values.

        Raises:
            DataError: some images cannot be read, so a run would fail there. Checks and caches list them all.
        """
        measured = self.measured
        if measured.problems:
            many = f"{len(measured.problems)} of the training images cannot be read"
            raise DataError(f"{measured.problems[0]} ({many}; geomoe data check folder lists them)")
        return torch.tensor(measured.mean).float(), torch.tensor(measured.std).float()

    @property
    def pixel_types(self) -> tuple[str, ...]:  # type: ignore[override]
        """The types of the training images' pixels."""
        return tuple(sorted(set(self.index.dtype[self.rows("train")].tolist())))

    def info(self) -> dict[str, Any]:
        """Return plain facts; mean and std have full precision, because reflectances may be small."""
        measured, chosen = self.measured, self.rows("train")
        return {
            **super().info(),
            "mean": measured.mean.tolist(),
            "std": measured.std.tolist(),
            "source_pixels": int(np.median(self.index.side[chosen])),
            "skipped": len(self.index.skipped),
            "pixel_metres": spread(self.index.metres[chosen]),
            "extent_metres": spread(self.index.metres[chosen] * self.index.side[chosen]),
        }
