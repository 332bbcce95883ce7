"""Which data sets there are, known without importing torch: names, domains, keys, where the reader is.

The command line checks a configuration against this table in milliseconds, and the reader of a data set is
imported when the data set is used. A new data set is one entry here, one reader in ``geomoe/datasets``, one
file in ``configs/`` and one entry in the contract test of the family.
"""

from __future__ import annotations

from typing import NamedTuple

#: Keys of ``data`` that concern some data sets only; the others are every data set's.
OPTIONAL_KEYS = (
    "metadata",
    "bands",
    "protocol",
    "domain_by",
    "groups_per_batch",
    "num_environments",
    "num_domains",
    "budget",
)


class Entry(NamedTuple):
    """One data set.

    Attributes:
        module: ``package.module:Class`` of its data module.
        domains: names that ``data.held_out`` may take; empty: known only when the data is read.
        keys: those of OPTIONAL_KEYS that it understands.
    """

    module: str
    domains: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


CATALOGUE: dict[str, Entry] = {
    "bluemarble": Entry(
        "geomoe.datasets.datamodule:BlueMarbleDataModule",
        ("Africa", "Americas", "Asia", "Europe", "Oceania"),
    ),
}
