"""The table of data sets: one line for each."""

from __future__ import annotations

from geomoe.datasets.datamodule import BlueMarbleDataModule

#: Name in a configuration -> data module, which takes the keys of ``data`` (but name) and ``seed``.
DATASETS: dict[str, type[BlueMarbleDataModule]] = {"bluemarble": BlueMarbleDataModule}
