"""Data sets: torchgeo-style readers, their splits and protocols, and the data modules over them.

Names are looked up when they are first used: torchgeo takes seconds to import, and the index, the
cache, the sampler and the auditor do without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geomoe.datasets.bluemarble import BlueMarble
    from geomoe.datasets.datamodule import BlueMarbleDataModule
    from geomoe.datasets.domainbed import PACS, DomainNet, OfficeHome, TerraIncognita
    from geomoe.datasets.fmow import FMoW, FMoWLAO
    from geomoe.datasets.grouped import GroupedSampler
    from geomoe.datasets.iwildcam import IWildCam
    from geomoe.datasets.sampler import EpochSampler
    from geomoe.datasets.table import DATASETS
    from geomoe.datasets.wilds_images import from_wilds

# public name -> module that holds it
_PUBLIC = {
    "DATASETS": "geomoe.datasets.table",
    "BlueMarble": "geomoe.datasets.bluemarble",
    "BlueMarbleDataModule": "geomoe.datasets.datamodule",
    "EpochSampler": "geomoe.datasets.sampler",
    "FMoW": "geomoe.datasets.fmow",
    "FMoWLAO": "geomoe.datasets.fmow",
    "IWildCam": "geomoe.datasets.iwildcam",
    "from_wilds": "geomoe.datasets.wilds_images",
    "GroupedSampler": "geomoe.datasets.grouped",
    "PACS": "geomoe.datasets.domainbed",
    "OfficeHome": "geomoe.datasets.domainbed",
    "TerraIncognita": "geomoe.datasets.domainbed",
    "DomainNet": "geomoe.datasets.domainbed",
}

__all__ = [
    "DATASETS",
    "PACS",
    "BlueMarble",
    "BlueMarbleDataModule",
    "DomainNet",
    "EpochSampler",
    "FMoW",
    "FMoWLAO",
    "GroupedSampler",
    "IWildCam",
    "OfficeHome",
    "TerraIncognita",
    "from_wilds",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is that of the name asked for
    """Import a public name when it is first used."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'geomoe.datasets' has no attribute {name!r}"
    raise AttributeError(msg)
