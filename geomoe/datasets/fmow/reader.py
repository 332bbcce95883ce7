"""FMoW in WILDS' v1.1 layout: 62 uses of land all over the Earth, split in time; and FMoW-LAO, in space."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from geomoe.datasets.base import Columns, Grouping, LabelledImages
from geomoe.datasets.fmow.splits import OFFICIAL, SPLITS, assign
from geomoe.datasets.fmow.tables import CSV_SPLITS, IMAGES, METADATA, find_folder, read_table
from geomoe.datasets.fmow_names import CATEGORIES, REGIONS, SOURCE_REGIONS, UNCOUNTED, YEARS
from geomoe.errors import ConfigError, DataError
from geomoe.fetching.download import found_or_fetched
from geomoe.reading.pictures import absent, read_rgb
from geomoe.support.words import unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from geomoe.datasets.fmow.tables import Table

ROOT = "data"  # where torchgeo and WILDS look unless told otherwise
CELL = 6.0  # degrees on a side of the blocks that intervals are resampled in
CORNER = np.array([-180.0, -90.0])
LAO_VERSION = "v1"


class FMoW(LabelledImages):
    """Functional Map of the World (Christie et al., CVPR 2018) as in WILDS v1.1 (Koh et al., 2021).

    A sample is a dict of tensors: those of :class:`LabelledImages`, with ``image`` (3, 224, 224), and
    ``region`` (int64, position in REGIONS), ``country`` (int64, position in ``countries``), ``year``
    (int64), ``timestamp`` (float64, seconds since 1970, UTC).

    Splits: train, id_val, id_test (before 2013), val (2013 to 2015) and test (from 2016). Rows of the
        original
    train, val and test parts from other years are in no split, and neither are sequestered rows. A held-out
    domain is left out of train, val and id_val; ``held_out`` is its part of test.

    Attributes:
        countries: ISO 3166-1 alpha-3 codes, by the number in a sample.
        mended: (N,) int8: whether the place is a footprint across the antimeridian that was mended (1) or
            may be one (2); see :mod:`geomoe.datasets.fmow.footprints`.
    """

    _name = "fmow"
    classes = CATEGORIES
    splits: tuple[str, ...] = (*SPLITS, "held_out")

    def __init__(
        self,
        root: str | os.PathLike[str] = ROOT,
        split: str = "train",
        *,
        protocol: str = OFFICIAL,
        domain_by: str = "region",
        held_out: str | None = None,
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """Read the tables; no image is opened.

        Args:
            root: folder that holds ``fmow_v1.1``, or that folder itself.
            split: one of ``splits``.
            protocol: which rows are in which split; see :func:`geomoe.datasets.fmow.splits.assign`.
            domain_by: region (the MoGE poster) or year (WILDS' baselines).
            held_out: domain left out of train, val and id_val.
            image_size: side in pixels to which images are resized; None: not resized (224).
            transforms: applied to each sample.
            download: fetch missing data. No source with a published hash is known, so this is refused with a
                message that says what to do.
            checksum: compare files with published hashes (none is published for FMoW, so this only warns).

        Raises:
            ConfigError: unknown split, protocol or domain.
            DatasetNotFoundError: the data is missing.
            DownloadError: the data is missing, and a download was requested.
            DataError: the data is damaged.
        """
        self.root, self.download, self.checksum = root, download, checksum
        self.protocol, self.held_out = protocol, held_out
        self._set_domains(domain_by)
        if split not in self.splits:
            raise ConfigError(unknown("split", "split", split, self.splits))
        if split == "held_out" and held_out is None:
            msg = "split: held_out is there only when a domain is held out; give held_out, such as Asia"
            raise ConfigError(msg)
        self.folder = found_or_fetched(
            lambda: find_folder(root),
            self._name,
            root,
            download=download,
            checksum=checksum,
            folder=lambda found: found,
        )
        table = read_table(self.folder)
        domain = self._domains_of(table)
        assigned = assign(table, protocol)
        rows = np.flatnonzero(self.members(split, table, assigned, domain))
        self._check_images(rows)
        self._table_hash = table.sha256
        self.countries, self.mended = table.countries, table.mended[rows]
        self.remarks = table.remarks
        self._year, self._region = table.year[rows], table.region[rows]
        extra = {
            "region": self._region,
            "country": table.country[rows],
            "year": self._year,
            "timestamp": table.time[rows].astype(np.int64) / 1e6,
        }
        super().__init__(
            Columns(
                table.lonlat[rows], table.label[rows], domain[rows], cells(table.lonlat[rows], rows), rows
            ),
            split=split,
            image_size=image_size,
            transforms=transforms,
            extra=extra,
            data_hash=hashlib.sha256(table.sha256.encode() + assigned.tobytes()).hexdigest(),
        )

    @property
    def image_key(self) -> str:
        """The key of the image cache, made from the table, whose rows number the images in all protocols."""
        return self._table_hash

    def _set_domains(self, domain_by: str) -> None:
        if domain_by not in ("region", "year"):
            raise ConfigError(unknown("data.domain_by", "grouping", domain_by, ("region", "year")))
        self.domain_by = self.domain_unit = domain_by
        self.regions = REGIONS if domain_by == "region" else tuple(map(str, YEARS))
        self.uncounted = UNCOUNTED if domain_by == "region" else ()
        if self.held_out is not None and self.held_out not in self.regions:
            raise ConfigError(unknown("data.held_out", domain_by, self.held_out, self.regions))

    def _domains_of(self, table: Table) -> NDArray[np.int64]:
        return table.region if self.domain_by == "region" else year_groups(table.year)

    def members(
        self, split: str, table: Table, assigned: NDArray[np.int8], domain: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """(N,) which rows of the table are in a split.

        Args:
            split: one of ``splits``.
            table: all rows.
            assigned: (N,) split of each row under the protocol.
            domain: (N,) domain of each row.
        """
        test = assigned == SPLITS.index("test")
        if self.held_out is None:
            return assigned == SPLITS.index(split)
        unseen = domain == self.regions.index(self.held_out)
        if not unseen.any():
            raise DataError(f"{self.folder / METADATA}: no row is of {self.domain_by} {self.held_out}")
        if split == "held_out":
            return test & unseen
        found = assigned == SPLITS.index(split)
        return found & ~unseen if split in ("train", "val", "id_val") else found

    def _check_images(self, rows: NDArray[np.int64]) -> None:
        """Report missing images at once if the table was copied without them."""
        if len(rows) and not any(self._path(row).is_file() for row in rows[[0, len(rows) // 2, -1]]):
            msg = (
                f"{self._path(rows[0])}: no such image, and the table has it: the copy of FMoW is not "
                "complete; copy images/ again"
            )
            raise DataError(msg)

    def absent_files(self) -> list[Path]:
        """Missing images of this split."""
        return absent(self.folder / IMAGES, (self._path(row).name for row in self.rows))

    def _path(self, row: int) -> Path:
        return self.folder / IMAGES / f"rgb_img_{row}.png"

    def name_of(self, index: int) -> str:
        """The file of an image."""
        return self._path(self.rows[index]).name

    def load_image(self, index: int) -> Tensor:
        """Open one image, (3, 224, 224) uint8.

        Raises:
            DataError: the file is missing or unreadable; the message names it.
        """
        return read_rgb(self._path(self.rows[index]))

    def groupings(self) -> dict[str, Grouping]:
        """Years if the domains are regions, else regions: FMoW is reported by both."""
        if self.domain_by == "region":
            return {"year": Grouping(tuple(map(str, YEARS)), year_groups(self._year))}
        return {"region": Grouping(REGIONS, self._region, UNCOUNTED)}

    def index_columns(self) -> dict[str, list[str]]:
        """The columns of an index file: every row that this protocol uses, with its split."""
        table = read_table(self.folder)
        domain, assigned = self._domains_of(table), assign(table, self.protocol)
        member = {split: self.members(split, table, assigned, domain) for split in self.index_splits()}
        rows = np.flatnonzero(np.any(list(member.values()), axis=0))
        split = np.full(len(table.split), "", dtype=object)
        for name in SPLITS:
            split[member[name]] = name
        columns = {"row": rows, "split": split[rows], self.domain_by: self._names(domain)[rows]}
        columns |= {name: member[name][rows].astype(int) for name in member if name not in SPLITS}
        return {name: list(map(str, values.tolist())) for name, values in columns.items()}

    def index_splits(self) -> tuple[str, ...]:
        """The splits that are listed in the index file."""
        return tuple(name for name in self.splits if name != "held_out" or self.held_out is not None)

    def _names(self, domain: NDArray[np.int64]) -> NDArray[np.object_]:
        return np.array([*self.regions, ""], dtype=object)[domain]  # -1: the last


class FMoWLAO(FMoW):
    """FMoW with one region left out, Asia by default ("leave Asia out"): protocol v1 of geomoe.

    The splits are the official ones in time, without the region in train, val and id_val. The main score is
    that on ``held_out``, the region's part of the official test. ``pooled`` has every row of the region, of
    all times and original splits except sequestered rows, like the test environment of DomainBed's WILDSFMoW.
    The MoGE poster's own split is not published.
    """

    _name = "fmow-lao"
    splits = (*SPLITS, "held_out", "pooled")
    overlapping = (
        *({"pooled", part} for part in ("test", "id_test", "held_out")),
        *LabelledImages.overlapping,
    )

    @property
    def beside(self) -> tuple[str, ...]:  # type: ignore[override]
        """The pooled variant is scored in every report on the official test."""
        return ("pooled",) if self.split in ("test", "held_out") else ()

    def __init__(
        self,
        root: str | os.PathLike[str] = ROOT,
        split: str = "train",
        *,
        held_out: str = "Asia",
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """Read the tables; see :class:`FMoW`.

        Raises:
            ConfigError: unknown split or region.
        """
        if held_out not in SOURCE_REGIONS:
            raise ConfigError(unknown("data.held_out", "region", held_out, SOURCE_REGIONS))
        super().__init__(
            root,
            split,
            held_out=held_out,
            image_size=image_size,
            transforms=transforms,
            download=download,
            checksum=checksum,
        )

    def members(
        self, split: str, table: Table, assigned: NDArray[np.int8], domain: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """(N,) which rows of the table are in a split; see :meth:`FMoW.members`."""
        if split == "pooled":
            return (domain == REGIONS.index(str(self.held_out))) & (table.split != CSV_SPLITS.index("seq"))
        return super().members(split, table, assigned, domain)


def cells(lonlat: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) number of the 6-degree cell of each place; a number of its own for each unknown place."""
    columns, count = round(360 / CELL), round(360 / CELL) * round(180 / CELL)
    known = ~np.isnan(lonlat[:, 0])
    column, row = np.floor((np.where(known[:, None], lonlat, 0) - CORNER) / CELL).astype(np.int64).T
    inside = np.minimum(row, count // columns - 1) * columns + np.minimum(column, columns - 1)
    return np.where(known, inside, count + rows)


def year_groups(year: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) position in YEARS; -1 for years that WILDS has no group for."""
    inside = (year >= YEARS[0]) & (year <= YEARS[-1])
    return np.where(inside, year - YEARS[0], -1)
