"""Data sets: torchgeo-style readers, their splits and protocols, and the data modules over them."""

from geomoe.datasets.bluemarble import BlueMarble
from geomoe.datasets.datamodule import BlueMarbleDataModule
from geomoe.datasets.sampler import EpochSampler

#: Name in a configuration -> data module; ``build_datamodule`` calls it with the keys of ``data``.
DATASETS: dict[str, type[BlueMarbleDataModule]] = {"bluemarble": BlueMarbleDataModule}

__all__ = ["DATASETS", "BlueMarble", "BlueMarbleDataModule", "EpochSampler"]
