"""The single entry point for writing small data sets in the layouts of the real ones."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geomoe.fetching.facts import Facts


def write_sample(facts: Facts, folder: Path, seed: int = 0) -> None:
    """Write a small data set in the layout of the real one.

    Args:
        facts: facts on a data set that has a sample.
        folder: made if it is not there.
        seed: of the sample's random parts.
    """
    module, _, name = facts.sample.partition(":")
    write = importlib.import_module(f"geomoe.datasets.samples.{module}").write
    write(folder, seed=seed, **({"name": name} if name else {}))
