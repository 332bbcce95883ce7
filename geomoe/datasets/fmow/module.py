"""FMoW and FMoW-LAO as data modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geomoe.datasets.fmow.reader import LAO_VERSION, ROOT, FMoW, FMoWLAO
from geomoe.datasets.fmow.splits import OFFICIAL, write_index
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "index.csv.gz"


class FMoWDataModule(ImageDataModule):
    """Loaders of FMoW; pixels are normalised with ImageNet's statistics, as in WILDS."""

    name = "fmow"

    def open(self, split: str) -> FMoW:
        """Open one of :attr:`FMoW.splits`."""
        return FMoW(
            self.root or ROOT,
            split,
            protocol=self.protocol,
            domain_by=self.options.get("domain_by") or "region",
            held_out=self.held_out,
            image_size=self.image_size,
        )

    @property
    def protocol(self) -> str:
        """Return the name of the rule that made the splits."""
        return self.options.get("protocol") or OFFICIAL

    def info(self) -> dict[str, Any]:
        """Return plain facts, including the protocol."""
        return {**super().info(), "protocol": self.protocol}

    def write_index(self, folder: Path) -> None:
        """Write ``index.csv.gz``: row, split and domain of every sample that this protocol uses.

        Raises:
            OutputError: the file cannot be written.
        """
        data = self.dataset("test")
        if not isinstance(data, FMoW):
            raise TypeError(type(data).__name__)
        write_index(folder / INDEX, data.index_columns())


class FMoWLAODataModule(FMoWDataModule):
    """Loaders of FMoW without one region, which ``data.held_out`` names."""

    name = "fmow-lao"

    def open(self, split: str) -> FMoWLAO:
        """Open one of :attr:`FMoWLAO.splits`.

        Raises:
            ConfigError: no region is held out, or the protocol version differs.
        """
        if self.held_out is None:
            msg = "data.held_out: fmow-lao leaves one region out; name it (the poster: Asia), or train fmow"
            raise ConfigError(msg)
        if self.protocol != LAO_VERSION:
            msg = f"data.protocol: fmow-lao has version {LAO_VERSION} alone; got {self.protocol!r}"
            raise ConfigError(msg)
        return FMoWLAO(self.root or ROOT, split, held_out=self.held_out, image_size=self.image_size)

    @property
    def protocol(self) -> str:
        """Return the version of the protocol."""
        return self.options.get("protocol") or LAO_VERSION
