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
    "batches_per_epoch",
    "num_environments",
    "num_domains",
    "budget",
    "allow_vrt",
)


class Entry(NamedTuple):
    """One data set.

    Attributes:
        module: ``package.module:Class`` of its data module.
        domains: names that ``data.held_out`` may take; empty: known only when the data is read.
        keys: those of OPTIONAL_KEYS that it understands.
        splits: names of its splits; ``held_out`` is there besides whenever a domain is held out.
        source: name of the data set whose samples it is made of, under another protocol; empty: its own.
        places: whether it says where images were taken.
    """

    module: str
    domains: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "val", "test")
    source: str = ""
    places: bool = True


_REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania")
_GROUPED = ("groups_per_batch", "batches_per_epoch")
_WILDS = ("train", "val", "test", "id_val", "id_test")  # val and test: other domains, or later years

CATALOGUE: dict[str, Entry] = {
    "bluemarble": Entry(
        "geomoe.datasets.bluemarble.module:BlueMarbleDataModule",
        ("Africa", "Americas", "Asia", "Europe", "Oceania"),
        _GROUPED,
    ),
    "fmow": Entry(
        "geomoe.datasets.fmow.module:FMoWDataModule",
        (*_REGIONS, "Other", *map(str, range(2002, 2018))),
        ("protocol", "domain_by", *_GROUPED),
        _WILDS,
    ),
    "fmow-lao": Entry(
        "geomoe.datasets.fmow.module:FMoWLAODataModule",
        _REGIONS,
        ("protocol", *_GROUPED),
        (*_WILDS, "pooled"),
        source="fmow",
    ),
    "folder": Entry(
        "geomoe.datasets.folder.reader:FolderDataModule",
        keys=("metadata", "bands", "domain_by", "allow_vrt", *_GROUPED),
    ),
    "rcmnist": Entry(
        "geomoe.datasets.rcmnist.reader:RCMNISTDataModule",
        keys=(
            *("num_environments", "num_domains", "budget", "protocol"),
            *_GROUPED,
        ),
    ),
    "iwildcam": Entry(
        "geomoe.datasets.iwildcam.reader:IWildCamDataModule",
        keys=("metadata", *_GROUPED),
        splits=_WILDS,
    ),
}

_DOMAINBED = {
    "pacs": ("PACS", ("art_painting", "cartoon", "photo", "sketch")),
    "officehome": ("OfficeHome", ("Art", "Clipart", "Product", "Real World")),
    "terraincognita": ("TerraIncognita", ("location_100", "location_38", "location_43", "location_46")),
    "domainnet": ("DomainNet", ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")),
}
CATALOGUE |= {
    name: Entry(
        f"geomoe.datasets.domainbed.reader:{title}Module",
        domains,
        _GROUPED,
        ("train", "val", "test", "target_in", "target_out"),
        places=False,
    )
    for name, (title, domains) in _DOMAINBED.items()
}


def source_of(name: str) -> str:
    """The data set whose samples a data set is made of; its own name where there is no other."""
    return (CATALOGUE[name].source if name in CATALOGUE else "") or name


def same_samples(one: str, other: str) -> bool:
    """Whether two data sets are made of the same samples, under whatever protocol."""
    return source_of(one) == source_of(other)
