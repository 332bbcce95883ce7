"""Data sets: torchgeo-style readers, their splits and protocols, and the data modules over them.

Names are imported on first use: torchgeo takes seconds to import, and the index, the cache and the
sampler do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.support import on_first_use

if TYPE_CHECKING:
    from geomoe.datasets.batches.grouped import GroupedSampler
    from geomoe.datasets.batches.shuffled import EpochSampler
    from geomoe.datasets.bluemarble.module import BlueMarbleDataModule
    from geomoe.datasets.bluemarble.reader import BlueMarble
    from geomoe.datasets.domainbed.reader import PACS, DomainNet, OfficeHome, TerraIncognita
    from geomoe.datasets.fmow.reader import FMoW, FMoWLAO
    from geomoe.datasets.iwildcam.reader import IWildCam
    from geomoe.datasets.mapinwild.reader import MapInWild
    from geomoe.datasets.registry import DATASETS
    from geomoe.datasets.wilds.images import from_wilds

# public name -> module that holds it
_PUBLIC = {
    "DATASETS": "geomoe.datasets.registry",
    "BlueMarble": "geomoe.datasets.bluemarble.reader",
    "BlueMarbleDataModule": "geomoe.datasets.bluemarble.module",
    "EpochSampler": "geomoe.datasets.batches.shuffled",
    "FMoW": "geomoe.datasets.fmow.reader",
    "FMoWLAO": "geomoe.datasets.fmow.reader",
    "IWildCam": "geomoe.datasets.iwildcam.reader",
    "MapInWild": "geomoe.datasets.mapinwild.reader",
    "from_wilds": "geomoe.datasets.wilds.images",
    "GroupedSampler": "geomoe.datasets.batches.grouped",
    "PACS": "geomoe.datasets.domainbed.reader",
    "OfficeHome": "geomoe.datasets.domainbed.reader",
    "TerraIncognita": "geomoe.datasets.domainbed.reader",
    "DomainNet": "geomoe.datasets.domainbed.reader",
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
    "MapInWild",
    "OfficeHome",
    "TerraIncognita",
    "from_wilds",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__getattr__ = on_first_use(__name__, _PUBLIC)
