"""Somebody's own images and points: a folder, a table, and what can be read from the images themselves."""

from __future__ import annotations

import hashlib
import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from geomoe.config_checks import unknown
from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.folder_doubts import doubts
from geomoe.datasets.folder_files import SideFiles
from geomoe.datasets.folder_scan import describe, places_of, scan
from geomoe.datasets.folder_split import made_split, make_blocks, read_split, write_split
from geomoe.datasets.folder_statistics import Statistics, measure
from geomoe.datasets.folder_table import Skip, read_table
from geomoe.datasets.module import ImageDataModule
from geomoe.datasets.raster import load_image
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError
from geomoe.files import whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

log = logging.getLogger(__name__)

#: Other names of the splits that every data set has.
SPLITS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
ALL = "all"  # the one domain of a table that names none


class Index(NamedTuple):
    """Every image that can be used, under all splits; arrays of N.

    Attributes:
        filename: as in the table.
        columns: places, class ids, domain ids, blocks, rows.
        split: names.
        side: pixels on the longer side.
        timestamp: seconds since 1970 (UTC), or None.
        classes, domains: names, by id.
        bands: of an image.
        data_hash: of names, sizes, labels, places, domains, splits and the choice of bands.
        skipped: what was left out.
        size: bytes of each file.
    """

    filename: NDArray[Any]
    columns: Columns
    split: NDArray[Any]
    side: NDArray[np.int64]
    timestamp: NDArray[np.float64] | None
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    bands: int
    data_hash: str
    skipped: list[Skip]
    size: NDArray[np.int64]


class FolderImages(LabelledImages):
    """One split of somebody's own images.

    Args:
        root: folder that file names are relative to.
        index: every image.
        chosen: (n,) rows of the index that belong to the split.
        split: its name.
        statistics: of the training images; where an image has no data it gets their mean.
        bands: which, counted from 1; empty: all.
        image_size: pixels on a side; None: as they are.
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
    ) -> None:
        self.root, self.bands, self.statistics = root, bands, statistics
        self.classes, self.regions = index.classes, index.domains
        self.filenames = index.filename[chosen]
        self.rgb = (0, 1, 2)
        low, high = statistics.mean - 2 * statistics.std, statistics.mean + 2 * statistics.std
        self.scale = (float(low[:3].min()), float(high[:3].max()))
        extra = {} if index.timestamp is None else {"timestamp": index.timestamp[chosen]}
        super().__init__(
            Columns(*(column[chosen] for column in index.columns)),  # type: ignore[arg-type]
            split=split,
            image_size=image_size,
            extra=extra,
            data_hash=index.data_hash,
        )

    def load_image(self, index: int) -> Tensor:
        """(bands, H, W) float32 raw values; where there is no data, the training images' mean.

        Raises:
            DataError: the file is missing or unreadable.
        """
        path = self.root / self.filenames[index]
        return load_image(path, self.bands, self.statistics.mean.astype(np.float32))


class FolderDataModule(ImageDataModule):
    """Loaders over a folder of images and a table; see docs/datasets.md."""

    name = "folder"

    @property
    def bands(self) -> tuple[int, ...]:
        """Bands that are read, counted from 1; empty: all."""
        return tuple(self.options.get("bands") or ())

    @cached_property
    def folder(self) -> Path:
        """The folder of images.

        Raises:
            DatasetNotFoundError: not given, or not there.
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
        """The table, looked for as it is given, then inside the folder of images.

        Raises:
            DatasetNotFoundError: not given, or not there.
        """
        given = self.options.get("metadata")
        if given is None:
            msg = "data.metadata: folder needs a table with filename and label; give --metadata points.csv"
            raise DatasetNotFoundError(msg)
        path = Path(given).expanduser()
        for place in (path, self.folder / path, self.folder / path.name):
            if place.is_file():
                return place
        raise DatasetNotFoundError(f"data.metadata: no such table: {path} (nor in {self.folder})")

    @cached_property
    def files(self) -> SideFiles:
        """What is made once and kept beside the table."""
        return SideFiles(self.metadata)

    @cached_property
    def index(self) -> Index:
        """Every image that can be used; read once.

        Raises:
            DatasetNotFoundError: no folder or no table.
            DataError: a table or images that cannot be used; see docs/datasets.md for what is skipped.
        """
        folder, where = self.folder, self.metadata
        table = read_table(where, domain_by=self.options.get("domain_by"))
        found = scan(table, folder, self.files, self.bands, where)
        table = found.table
        if table.label is None:
            raise DataError(f"{where}: no column label")
        if table.skipped:
            listed = self.files.write_skipped(table.skipped)
            text = "%s: %d of %d rows are left out, listed in %s: %s"
            log.warning(text, where, len(table.skipped), table.total, listed, describe(table.skipped))
        else:
            self.files.write_skipped([])
        lonlat = places_of(found, where)
        classes, label = _codes(table.label)
        named = np.full(len(label), ALL, dtype=object) if table.domain is None else table.domain
        domains, domain = _codes(named)
        kind = np.array([f"{a} {b}" for a, b in zip(label, domain, strict=True)], dtype=object)
        split, block = self._split(table.filename, lonlat, kind, table.split)
        for doubt in doubts(classes, label, split):
            log.warning("%s: %s", where, doubt)
        places = np.round(lonlat, 6)  # another version of PROJ may differ in the last digits
        facts = [table.filename, table.label, domain, split, places, found.size, self.bands]
        return Index(
            table.filename,
            Columns(lonlat, label, domain, _codes(block)[1], np.arange(len(label), dtype=np.int64)),
            split,
            found.side,
            table.timestamp,
            classes,
            domains,
            len(self.bands) or int(found.bands.max()),
            _hash(facts),
            table.skipped,
            found.size,
        )

    def _split(
        self,
        filename: NDArray[Any],
        lonlat: NDArray[np.float64],
        kind: NDArray[Any],
        given: NDArray[Any] | None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The split and the block of each image: the table's, or one in blocks of space, made once.

        ``kind`` is what each split is to have its share of: every class in every domain.
        """
        if given is not None:
            split = np.array([SPLITS.get(name.lower(), name.lower()) for name in given], dtype=object)
            absent = [name for name in ("train", "val", "test") if name not in set(split)]
            if absent:
                msg = f"{self.metadata}: column split: no row says {', '.join(absent)}"
                raise DataError(
                    f"{msg} (it has {', '.join(sorted(set(split)))}); leave it out to have one made"
                )
            return split, make_blocks(lonlat, filename).name
        name = f"split-{self.split_seed}.csv"
        path = self.files.find(name)
        earlier = {} if path is None else read_split(path)
        split, blocks = made_split(filename, lonlat, kind, self.split_seed, earlier)
        rows = zip(filename.tolist(), zip(split.tolist(), blocks.name.tolist(), strict=True), strict=True)
        merged = {**earlier, **dict(rows)}
        if merged != earlier:
            path = self.files.write(name, lambda scratch: write_split(scratch, merged))
            counts = ", ".join(f"{part} {int((split == part).sum())}" for part in ("train", "val", "test"))
            text = "no column split: made one in %d blocks of space of %g degrees (%s), kept in %s"
            log.info(text, len(set(blocks.name)), blocks.side, counts, path)
        return split, blocks.name

    def write_index(self, folder: Path) -> None:
        """Write ``samples.csv``: which image is in which split and block, as this run used them."""
        index = self.index
        columns = {"filename": index.filename, "split": index.split, "block": index.columns.block}
        places = {"lon": index.columns.lonlat[:, 0], "lat": index.columns.lonlat[:, 1]}
        frame = pd.DataFrame({**columns, **places})
        with whole_file(folder / "samples.csv") as scratch:
            frame.to_csv(scratch, index=False)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of the index in a split, under the protocol.

        Raises:
            ConfigError: no such split or domain.
            DataError: a split without images.
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
        if not chosen.any():
            raise DataError(
                f"{self.metadata}: no image is in split {split} (held out: {held_out or 'nothing'})"
            )
        return np.flatnonzero(chosen)

    def open(self, split: str) -> FolderImages:
        """Open train, val, test, held_out or any other split that the table names."""
        chosen = self.rows(split)
        return FolderImages(
            self.folder,
            self.index,
            chosen,
            split=split,
            statistics=self.measured,
            bands=self.bands,
            image_size=self.image_size,
        )

    @cached_property
    def measured(self) -> Statistics:
        """Mean and spread of each band over the training images, measured once and kept."""
        index, chosen = self.index, self.rows("train")
        names, sizes = index.filename[chosen], index.size[chosen]
        key = _hash([names, sizes, self.bands])[:16]
        return measure(self.folder, names, self.bands, index.bands, self.files, key)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(bands,) mean and standard deviation of the training images' raw values."""
        measured = self.measured
        return torch.tensor(measured.mean).float(), torch.tensor(measured.std).float()

    def info(self) -> dict[str, Any]:
        """Plain facts; mean and std with every digit, as reflectances may be small."""
        measured, chosen = self.measured, self.rows("train")
        return {
            **super().info(),
            "mean": measured.mean.tolist(),
            "std": measured.std.tolist(),
            "source_pixels": int(np.median(self.index.side[chosen])),
            "skipped": len(self.index.skipped),
        }


def _codes(names: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Sorted names (numbers by value) and (N,) positions; -1 where the text is empty."""
    found = sorted({str(name) for name in names if name != ""}, key=_order)
    positions = {name: number for number, name in enumerate(found)}
    return tuple(found), np.array([positions.get(str(name), -1) for name in names], dtype=np.int64)


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _hash(parts: list[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(np.asarray(part).tolist()).encode())
        digest.update(b"\0")
    return digest.hexdigest()
