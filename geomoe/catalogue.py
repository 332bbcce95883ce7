"""The tables of data sets and training methods, available without importing torch.

The command line checks a configuration against these tables in milliseconds. The reader of a data set and
the class of a method are imported when they are used. A new data set is one entry here, one folder in
``geomoe/datasets`` and one file in ``configs/``; a new method is one entry here and one file in
a folder of ``geomoe/algorithms`` (docs/architecture.md has the recipes).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: Keys of ``data`` that only some data sets support; every data set supports the others.
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
    "safe_csv",
    "split_version",
    "split_buffer_km",
    "train_domains",
    "columns",
)


class Entry(NamedTuple):
    """One data set.

    Attributes:
        module: ``package.module:Class`` of its data module.
        domains: valid names for ``data.held_out``; empty: known only when the data is read.
        keys: the OPTIONAL_KEYS that it supports.
        splits: names of its splits; ``held_out`` is an additional one whenever a domain is held out.
        source: name of the data set whose samples it uses with another protocol; empty: it has its own.
        places: whether it knows where images were taken.
        headline: the score by which its papers rank methods: accuracy, worst (domain) or macro_f1. The epoch
            is selected by ``trainer.select`` of its shipped configuration.
    """

    module: str
    domains: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "val", "test")
    source: str = ""
    places: bool = True
    headline: Literal["accuracy", "worst", "macro_f1"] = "accuracy"


_REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania")
_GROUPED = ("groups_per_batch", "batches_per_epoch")
_SUBSETS = ("train_domains",)
_WILDS = ("train", "val", "test", "id_val", "id_test")  # val and test: other domains, or later years

CATALOGUE: dict[str, Entry] = {
    "bluemarble": Entry(
        "geomoe.datasets.bluemarble.module:BlueMarbleDataModule",
        ("Africa", "Americas", "Asia", "Europe", "Oceania"),
        (*_GROUPED, *_SUBSETS),
    ),
    "fmow": Entry(
        "geomoe.datasets.fmow.module:FMoWDataModule",
        (*_REGIONS, "Other", *map(str, range(2002, 2018))),
        ("protocol", "domain_by", *_GROUPED, *_SUBSETS),
        _WILDS,
        headline="worst",
    ),
    "fmow-lao": Entry(
        "geomoe.datasets.fmow.module:FMoWLAODataModule",
        _REGIONS,
        ("protocol", *_GROUPED, *_SUBSETS),
        (*_WILDS, "pooled"),
        source="fmow",
    ),
    "folder": Entry(
        "geomoe.datasets.folder.reader:FolderDataModule",
        keys=(
            *("metadata", "bands", "domain_by", "allow_vrt", "safe_csv", "split_version", "split_buffer_km"),
            "columns",
            *_GROUPED,
            *_SUBSETS,
        ),
    ),
    "rcmnist": Entry(
        "geomoe.datasets.rcmnist.reader:RCMNISTDataModule",
        keys=(
            *("num_environments", "num_domains", "budget", "protocol"),
            *_GROUPED,
        ),
        places=False,
    ),
    "iwildcam": Entry(
        "geomoe.datasets.iwildcam.reader:IWildCamDataModule",
        keys=("metadata", *_GROUPED),
        splits=_WILDS,
        headline="macro_f1",
    ),
    "mapinwild": Entry(
        "geomoe.datasets.mapinwild.reader:MapInWildDataModule",
        (*_REGIONS, "Other"),
        ("protocol", "bands", *_GROUPED, *_SUBSETS),
        headline="worst",
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
        (*_GROUPED, *_SUBSETS),
        ("train", "val", "test", "target_in", "target_out"),
        places=False,
    )
    for name, (title, domains) in _DOMAINBED.items()
}


def source_of(name: str) -> str:
    """The name of the data set whose samples a data set uses; its own name if it has its own samples."""
    return (CATALOGUE[name].source if name in CATALOGUE else "") or name


def same_samples(one: str, other: str) -> bool:
    """Whether two data sets use the same samples, whatever their protocols."""
    return source_of(one) == source_of(other)


class MethodEntry(NamedTuple):
    """One training method.

    Attributes:
        target: ``package.module:Class``, a subclass of geomoe.algorithms.Method.
        title: its name in tables and messages.
        network: name of its network in geomoe.models.NETWORKS.
        places: whether its network uses the places of images.
        experts: whether blocks of its network hold experts (``model.moge_blocks``).
        domains: minimum number of training domains; 1: it does not use domains.
        domain_ids: whether the encoder of domain ids can replace an encoder of places.
        wrapper: whether it wraps another method (``around``) and is not a method of its own.
        wraps: whether it can wrap another method, although it is also a method of its own.
        own_update: whether its update is more than one step along the gradient of its losses.
        quickstart: whether ``geomoe quickstart`` trains it.
    """

    target: str
    title: str
    network: str = "plain"
    places: bool = False
    experts: bool = False
    domains: int = 1
    domain_ids: bool = True
    wrapper: bool = False
    wraps: bool = False
    own_update: bool = False
    quickstart: bool = False


_HOME = "geomoe.algorithms"
METHODS: dict[str, MethodEntry] = {
    # pooled samples
    "erm": MethodEntry(f"{_HOME}.pooled.erm:ERM", "ERM", quickstart=True),
    "mixup": MethodEntry(f"{_HOME}.pooled.mixup:Mixup", "Mixup", domains=2),
    "mixstyle": MethodEntry(f"{_HOME}.pooled.mixstyle:MixStyle", "MixStyle"),
    "sagm": MethodEntry(f"{_HOME}.pooled.sagm:SAGM", "SAGM", wraps=True, own_update=True),
    "lfme": MethodEntry(f"{_HOME}.pooled.lfme:LFME", "LFME", domains=2, own_update=True),
    # risks or gradients of domains
    "groupdro": MethodEntry(f"{_HOME}.risks.groupdro:GroupDRO", "GroupDRO", domains=2),
    "irm": MethodEntry(f"{_HOME}.risks.irm:IRM", "IRM", domains=2),
    "vrex": MethodEntry(f"{_HOME}.risks.vrex:VREx", "VREx", domains=2),
    "rdm": MethodEntry(f"{_HOME}.risks.rdm:RDM", "RDM", domains=2),
    "fish": MethodEntry(f"{_HOME}.risks.fish:Fish", "Fish", domains=2, own_update=True),
    "fishr": MethodEntry(f"{_HOME}.risks.fishr:Fishr", "Fishr", domains=2),
    # features of domains matched
    "dann": MethodEntry(f"{_HOME}.alignment.dann:DANN", "DANN", domains=2, own_update=True),
    "cdann": MethodEntry(f"{_HOME}.alignment.cdann:CDANN", "CDANN", domains=2, own_update=True),
    "coral": MethodEntry(f"{_HOME}.alignment.coral:CORAL", "CORAL", domains=2),
    "mmd": MethodEntry(f"{_HOME}.alignment.mmd:MMD", "MMD", domains=2),
    # location or domain as an input, or heads and networks for domains
    "erm_le": MethodEntry(
        f"{_HOME}.location.erm_le:ERMLE",
        "ERM + location encoding",
        "location",
        places=True,
        quickstart=True,
    ),
    "film_le": MethodEntry(
        f"{_HOME}.location.film_le:FiLMLE", "FiLM by location", "film", places=True, quickstart=True
    ),
    "le_mlp": MethodEntry(
        f"{_HOME}.location.le_mlp:LEMLP", "Location + MLP", "location_mlp", places=True, quickstart=True
    ),
    "le_token": MethodEntry(
        f"{_HOME}.location.le_token:LEToken",
        "Location token",
        "location_token",
        places=True,
        quickstart=True,
    ),
    "per_region": MethodEntry(
        f"{_HOME}.location.per_region:PerRegion", "Per-region", "regions", domains=2, own_update=True
    ),
    "d3g": MethodEntry(
        f"{_HOME}.location.d3g:D3G", "D3G", "place_heads", places=True, domains=2, domain_ids=False
    ),
    "d3g_wrap": MethodEntry(
        f"{_HOME}.location.d3g_wrap:D3GWrap",
        "D3G + WRAP",
        "group_heads",
        places=True,
        domains=2,
        domain_ids=False,
    ),
    "dcp": MethodEntry(f"{_HOME}.location.dcp:DCP", "DCP", "conditioned", domains=2),
    "dcp_le": MethodEntry(
        f"{_HOME}.location.dcp:DCPLE",
        "DCP + location encoding",
        "conditioned_by_place",
        places=True,
        domains=2,
    ),
    # experts that a router chooses by place
    "moge": MethodEntry(
        f"{_HOME}.experts.moge:MoGE", "MoGE", "experts", places=True, experts=True, quickstart=True
    ),
    "moge_le": MethodEntry(
        f"{_HOME}.experts.moge_le:MoGELE",
        "MoGE + location encoding",
        "experts_le",
        places=True,
        experts=True,
        quickstart=True,
    ),
    "pg_dro": MethodEntry(f"{_HOME}.experts.pg_dro:PGDRO", "PG-DRO", "experts", places=True, experts=True),
    "moge_messi": MethodEntry(
        f"{_HOME}.experts.moge_messi:MoGEMESSI", "MoGE + MESSI", "experts", places=True, experts=True
    ),
    # a head of experts on pooled features
    "messi_ot": MethodEntry(f"{_HOME}.experts.messi:MESSIOT", "MESSI-OT", "expert_head", domains=2),
    "messi_mmd": MethodEntry(f"{_HOME}.experts.messi:MESSIMMD", "MESSI-MMD", "expert_head", domains=2),
    "erm_moe": MethodEntry(f"{_HOME}.experts.erm_moe:ERMMoE", "ERM-MoE", "expert_head"),
    "global_moe": MethodEntry(
        f"{_HOME}.experts.messi_controls:GlobalMoE", "Global-MoE", "expert_head", domains=2
    ),
    "random_subset_moe": MethodEntry(
        f"{_HOME}.experts.messi_controls:RandomSubsetMoE", "Random-Subset-MoE", "expert_head", domains=2
    ),
    "domain_only": MethodEntry(
        f"{_HOME}.experts.messi_controls:DomainOnlyMoE", "Domain-Only-MoE", "expert_head", domains=2
    ),
    # experts for tokens
    "gmoe": MethodEntry(f"{_HOME}.experts.gmoe:GMoE", "GMoE", "token_experts", experts=True),
    "gmoe_sagm": MethodEntry(
        f"{_HOME}.experts.gmoe_sagm:GMoESAGM", "GMoE + SAGM", "token_experts", experts=True, own_update=True
    ),
    "omoe": MethodEntry(f"{_HOME}.experts.omoe:OMoE", "OMoE", "orthogonal_experts", experts=True),
    "dynmoe": MethodEntry(f"{_HOME}.experts.dynmoe:DynMoE", "DynMoE", "top_any_experts", experts=True),
    # around another method
    "swad": MethodEntry(f"{_HOME}.pooled.swad:SWAD", "SWAD", wrapper=True),
}
#: Networks that go into the blocks of a vision transformer.
_IN_BLOCKS = ("location_token",)
_OF_TOKENS = ("moge_blocks", "num_experts", "expert_noise")
_OF_PLACES = (*_OF_TOKENS, "top_k", "router", "gamma", "learn_gamma", "expert_dropout")
#: Network -> keys of ``model`` that it reads and that other networks do not.
NETWORK_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("experts", "experts_le"), _OF_PLACES),
    **dict.fromkeys(("token_experts", "orthogonal_experts", "top_any_experts"), _OF_TOKENS),
}


def reads(method: str, key: str) -> bool:
    """Whether a method's network reads a key of ``model`` or ``encoder``; true for all other keys."""
    section, _, name = key.partition(".")
    if section == "encoder":
        return METHODS[method].places
    return (
        section != "model" or name not in _OF_PLACES or name in NETWORK_KEYS.get(METHODS[method].network, ())
    )


def methods_of_any_backbone() -> tuple[str, ...]:
    """Methods that read any backbone through timm's interface, and need no vision transformer."""
    return tuple(
        name
        for name, entry in METHODS.items()
        if not (entry.wrapper or entry.experts or entry.network in _IN_BLOCKS)
    )


DEFAULT_METHOD = "moge"  # if a configuration names none
BASELINE_METHOD = "erm"  # the method that a bench compares with, and that trains dense twins
ALGORITHMS = tuple(name for name, entry in METHODS.items() if not entry.wrapper)
WRAPPERS = tuple(name for name, entry in METHODS.items() if entry.wrapper or entry.wraps)
