"""The table of data sets, from the catalogue; a reader is imported on first access."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from geomoe.catalogue import CATALOGUE

if TYPE_CHECKING:
    from geomoe.datasets.module import ImageDataModule


class DataSets(Mapping[str, "type[ImageDataModule]"]):
    """Name in a configuration -> class of the data module, imported on access."""

    def __getitem__(self, name: str) -> type[ImageDataModule]:
        module, _, kind = CATALOGUE[name].module.partition(":")
        return getattr(importlib.import_module(module), kind)

    def __iter__(self) -> Iterator[str]:
        return iter(CATALOGUE)

    def __len__(self) -> int:
        return len(CATALOGUE)


#: Name in a configuration -> data module, which takes the keys of ``data`` (but name) and ``seed``.
DATASETS = DataSets()
