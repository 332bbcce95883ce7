"""PACS, OfficeHome, TerraIncognita and DomainNet: one class list, one domain left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.domainbed.folders import Layout, Listing, scan
from geomoe.datasets.domainbed.splits import choose, set_aside
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import ConfigError
from geomoe.fetching.download import found_or_fetched
from geomoe.reading.pictures import read_rgb
from geomoe.support.words import unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any

    from torch import Tensor

ROOT = "data"  # where torchgeo and WILDS look unless told otherwise

#: Layouts by name. Domains in the order of DomainBed's sorted folders; its letters are known as well.
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "pacs",
            "PACS",
            ("PACS", "pacs", "kfold"),
            {"art_painting": ("art", "A"), "cartoon": ("C",), "photo": ("P",), "sketch": ("S",)},
            7,
            (9_991,),
        ),
        Layout(
            "officehome",
            "OfficeHome",
            ("office_home", "OfficeHome", "OfficeHomeDataset_10072016"),
            {"Art": ("A",), "Clipart": ("C",), "Product": ("P",), "Real World": ("R",)},
            65,
            (15_588,),
        ),
        Layout(
            "terraincognita",
            "TerraIncognita",
            ("terra_incognita", "TerraIncognita"),
            {f"location_{camera}": (f"L{camera}", camera) for camera in ("100", "38", "43", "46")},
            10,
            (24_788, 24_330),  # of the papers, and of the archive of today
        ),
        Layout(
            "domainnet",
            "DomainNet",
            ("domain_net", "DomainNet"),
            {
                "clipart": ("clip",),
                "infograph": ("info",),
                "painting": ("paint",),
                "quickdraw": ("quick",),
                "real": (),
                "sketch": (),
            },
            345,
            (586_575, 596_006),  # without and with what DomainBed lists as duplicates
        ),
    )
}


class DomainBed(LabelledImages):
    """One split of a data set in DomainBed's layout: ``root/FOLDER/<domain>/<class>/<image>``.

    A sample is a dict of tensors: ``image`` (3, H, W) float32 in 0..255, ``label`` and ``domain`` int64,
    ``lon`` and ``lat`` NaN (none of these data sets has places), ``index`` int64 (row in this data set).

    Attributes:
        layout: the layout of the data set's folders.
        classes: class names of all domains together, sorted; a label is a position.
        regions: domain names; a domain is a position.
    """

    layout: ClassVar[Layout]
    block_unit = "image"

    @property
    def beside(self) -> tuple[str, ...]:  # type: ignore[override]
        """The further split in a report on the target: DomainBed's tables report four fifths of it."""
        return ("target_in",) if self.split == "held_out" else ()

    def __init__(
        self,
        root: str | os.PathLike[str] = ROOT,
        split: str = "train",
        held_out: str | None = None,
        split_seed: int = 0,
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        listing: Listing | None = None,
        *,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """List the images and keep those of one split; no image is opened.

        Args:
            root: folder that holds the data set's folder, or that folder itself.
            split: train, val, test, held_out (the target), target_in or target_out (its four fifths and
                its fifth).
            held_out: the target domain; None: all domains train, and test is a tenth of each.
            split_seed: seed of the choice of the fifth of each domain that is set aside.
            image_size: side in pixels to which images are resized; None: not resized.
            transforms: applied to each sample.
            listing: a result of :func:`~geomoe.datasets.domainbed.folders.scan`; None: list the folders now.
            download: fetch missing data. No source with a published hash is known, so this is refused with a
                message that says what to do.
            checksum: compare files with published hashes (none is published, so this only warns).

        Raises:
            ConfigError: unknown split or domain.
            DatasetNotFoundError: the data is missing.
            DownloadError: the data is missing, and a download was requested.
            DataError: the data is incomplete.
        """
        self.root, self.held_out, self.split_seed = root, held_out, split_seed
        self.download, self.checksum = download, checksum
        self.listing = found_or_fetched(
            lambda: scan(root, self.layout) if listing is None else listing,
            self.layout.name,
            root,
            download=download,
            checksum=checksum,
            folder=lambda found: found.folder,
        )
        domains = self.listing.domains
        if held_out is not None and held_out not in domains:
            raise ConfigError(unknown("data.held_out", "domain", held_out, domains))
        target = None if held_out is None else domains.index(held_out)
        self.overlapping = _parts_of_test() if held_out else LabelledImages.overlapping
        aside = set_aside(self.listing.names, self.listing.domain, self.listing.label, split_seed)
        rows = choose(split, aside, self.listing.domain, target)
        self.classes, self.regions = self.listing.classes, domains
        self.total = len(self.listing.files)
        self.files = [self.listing.files[row] for row in rows]
        nowhere = np.full((len(rows), 2), np.nan)
        # Each image is its own block, because the files do not show which images belong together.
        columns = Columns(nowhere, self.listing.label[rows], self.listing.domain[rows], rows, rows)
        super().__init__(
            columns,
            split=split,
            image_size=image_size,
            transforms=transforms,
            data_hash=self.listing.data_hash(),
        )

    def name_of(self, index: int) -> str:
        """The file of an image."""
        return str(self.files[index])

    def load_image(self, index: int) -> Tensor:
        """(3, H, W) uint8.

        Raises:
            DataError: the file is missing, empty, truncated or not a picture.
        """
        return read_rgb(self.listing.folder / self.files[index])

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker needs only the file names of this split, not those of the whole data set.
        state = {**self.__dict__}
        state["listing"] = self.listing._replace(files=[], names=[])
        return state


def _parts_of_test() -> tuple[set[str], ...]:
    """Pairs of splits that overlap: test contains the target, its two parts, and val (the sources' fifth)."""
    parts = ("target_in", "target_out")
    return ({"val", "test"}, {"test", "held_out"}, *({a, b} for a in ("test", "held_out") for b in parts))


class PACS(DomainBed):
    """PACS (Li et al. 2017): 7 classes in 4 styles, 9,991 images."""

    layout = LAYOUTS["pacs"]


class OfficeHome(DomainBed):
    """OfficeHome (Venkateswara et al. 2017): 65 classes in 4 styles, 15,588 images."""

    layout = LAYOUTS["officehome"]


class TerraIncognita(DomainBed):
    """TerraIncognita (Beery et al. 2018): 10 classes seen by 4 camera traps."""

    layout = LAYOUTS["terraincognita"]


class DomainNet(DomainBed):
    """DomainNet (Peng et al. 2019): 345 classes in 6 styles, 586,575 images."""

    layout = LAYOUTS["domainnet"]


class DomainBedModule(ImageDataModule):
    """Loaders of a data set in DomainBed's layout; pixels are scaled as ImageNet's, as in DomainBed."""

    reader: ClassVar[type[DomainBed]]
    _listing: Listing | None = None

    def split_names(self) -> tuple[str, ...]:
        """The splits that can be opened; those of the target only with a held-out domain."""
        return super().split_names() if self.held_out else ("train", "val", "test")

    def open(self, split: str) -> DomainBed:
        """Open train, val, test, held_out, target_in or target_out; the folders are listed once."""
        root = self.root or ROOT
        if self._listing is None:
            self._listing = scan(root, self.reader.layout)
        return self.reader(
            root, split, self.held_out, self.split_seed, self.image_size, listing=self._listing
        )


class PACSModule(DomainBedModule):
    """Loaders of PACS."""

    name, reader = "pacs", PACS


class OfficeHomeModule(DomainBedModule):
    """Loaders of OfficeHome."""

    name, reader = "officehome", OfficeHome


class TerraIncognitaModule(DomainBedModule):
    """Loaders of TerraIncognita."""

    name, reader = "terraincognita", TerraIncognita


class DomainNetModule(DomainBedModule):
    """Loaders of DomainNet."""

    name, reader = "domainnet", DomainNet
