"""The only module that creates objects from a configuration; their classes take plain arguments."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from geomoe.algorithms import method_class
from geomoe.catalogue import ALGORITHMS, CATALOGUE, METHODS, same_samples
from geomoe.checkpoint import load_checkpoint
from geomoe.config.reach import fit_encoder, is_open
from geomoe.earth.extent import extent_km
from geomoe.encoders import create_encoder
from geomoe.errors import CheckpointError, ConfigError
from geomoe.models import create_backbone, create_network, load_network
from geomoe.models.table import NETWORKS, Parts
from geomoe.support.words import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from geomoe.algorithms import Facts, Method
    from geomoe.config import RunConfig
    from geomoe.encoders.base import LocationEncoder
    from geomoe.models import Network


def extent_of(info: Mapping[str, Any]) -> float | None:
    """Distance in km between the furthest training places, from the facts about the data; None: not known."""
    places = info.get("places") or {"lon": [], "lat": []}
    return extent_km(np.stack([places["lon"], places["lat"]], axis=1).astype(np.float64))


def settled(config: RunConfig, info: Mapping[str, Any]) -> RunConfig:
    """Choose the encoder options that a configuration leaves open, by the extent of the training places.

    Args:
        config: the run's configuration.
        info: facts about the data, of which ``places`` are used.
    """
    extent = extent_of(info) if is_open(config) else None
    return replace(config, encoder=fit_encoder(config.encoder, extent))


def build_encoder(config: RunConfig, info: Mapping[str, Any], *, pretrained: bool = False) -> LocationEncoder:
    """The location encoder of a run.

    Args:
        config: the run's configuration.
        info: facts about the data. The encoder of domain ids uses ``domains`` and ``train_domains`` (default:
            all except ``held_out``); ``encoder`` has the sizes of pretrained weights, so that their file is
            not needed again; ``places`` determine the options that the configuration leaves open.
        pretrained: whether to read ``encoder.weights``; not needed if a checkpoint is loaded afterwards.
    """
    options = settled(config, info).encoder
    return create_encoder(
        options.name,
        out_dim=options.out_dim,
        hidden_dim=options.hidden_dim,
        legendre_polys=cast("int", options.legendre_polys),
        finest_km=options.finest_km,
        weights=options.weights if pretrained else None,
        capsules=options.capsules,
        noise=options.noise,
        freeze=options.freeze,
        num_domains=len(info["domains"]),
        trained_domains=_trained_domains(info),
        architecture=None if pretrained else info.get("encoder"),
    )


def _trained_domains(info: Mapping[str, Any]) -> list[int]:
    sources = [number for number, name in enumerate(info["domains"]) if name != info.get("held_out")]
    return info.get("train_domains", sources)


def build_network(config: RunConfig, info: Mapping[str, Any], *, pretrained: bool = False) -> Network:
    """The network of a run, with new weights.

    Args:
        config: the run's configuration.
        info: facts about the data: ``classes``, ``domains``, ``bands``; ``train_domains`` as for
            :func:`build_encoder`.
        pretrained: whether to read the initial weights of the configuration (``model.weights``,
            ``model.init_from``, ``encoder.weights``). A new run needs them; if the weights of a checkpoint
            are loaded afterwards, these files need not exist any more.

    Raises:
        ConfigError: unknown algorithm, backbone or encoder, or an impossible combination.
        CheckpointError: weights that are missing, unreadable or of another network.
    """
    _check_algorithm(config)
    kind, options = NETWORKS[METHODS[config.algorithm].network], config.model
    create = create_backbone if kind.vit else create_network

    def backbone() -> nn.Module:
        made: nn.Module = create(
            options.backbone,
            num_classes=len(info["classes"]),
            image_size=options.image_size,
            patch_size=options.patch_size,
            bands=int(info["bands"]),
            weights=options.weights if pretrained else None,
            drop_path=options.drop_path,
            mlp_ratio=options.mlp_ratio,
        )
        if options.init_from and pretrained:
            _start_from(made, config, options.init_from)
        return made

    encoder = partial(build_encoder, config, info, pretrained=pretrained)
    method, domains = config.options[config.algorithm], sorted(_trained_domains(info))
    classes = len(info["classes"])
    return kind.make(Parts(backbone(), encoder, classes, asdict(options), method, domains, backbone))


def _check_algorithm(config: RunConfig) -> None:
    if config.algorithm not in ALGORITHMS:
        raise ConfigError(unknown("algorithm", "algorithm", config.algorithm, ALGORITHMS))


def build_method(
    config: RunConfig, info: Mapping[str, Any], facts: Facts, *, pretrained: bool = False
) -> Method:
    """The training method of a run, with its network and the methods around it.

    Args:
        config: the run's configuration.
        info: as for :func:`build_network`.
        facts: facts about the task for the method.
        pretrained: as for :func:`build_network`.

    Raises:
        ConfigError: as for :func:`build_network`, or a method that cannot be used on this data.
        CheckpointError: as for :func:`build_network`.
    """
    _check_algorithm(config)
    make_network = partial(build_network, config, info, pretrained=pretrained)
    method: Any = None
    for name in config.methods:
        kind = method_class(name)
        given = kind.Options(**config.options[name])
        around = () if method is None else (method,)
        method = kind(given, make_network, facts, *around)
    return method


def _start_from(backbone: nn.Module, config: RunConfig, path: str) -> None:
    """Load the weights of an earlier run into a backbone (upcycling: its FFNs become the experts).

    Raises:
        CheckpointError: another backbone, or a run that was trained on the domain that this one holds out.
    """
    earlier = load_checkpoint(path)
    own, other = config.data, earlier.config.data
    seen = same_samples(other.name, own.name) and (
        (other.split_seed, other.protocol) != (own.split_seed, own.protocol)
        or (own.held_out and other.held_out != own.held_out)
    )
    if seen:
        protocol = "held_out={0.held_out}, split_seed={0.split_seed}, protocol={0.protocol}".format
        msg = (
            f"model.init_from: {path} was trained with {protocol(other)}: "
            f"it has seen what this run ({protocol(own)}) tests on"
        )
        raise CheckpointError(msg)
    prefix = "backbone."
    weights = {
        name.removeprefix(prefix): value for name, value in earlier.network.items() if name.startswith(prefix)
    }
    load_network(backbone, weights, where=f"model.init_from: {path}")


def build_datamodule(config: RunConfig) -> Any:  # noqa: ANN401 - a data module of the table
    """The data module of a run; no data is read yet.

    Raises:
        ConfigError: unknown data set, region or split.
    """
    from geomoe.datasets import DATASETS  # needs torchgeo, which networks do not need

    options = config.data
    if options.name not in DATASETS:
        raise ConfigError(unknown("data.name", "data set", options.name, list(DATASETS)))
    return DATASETS[options.name](
        root=options.root,
        held_out=options.held_out,
        split_seed=options.split_seed,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        augment=options.augment,
        image_size=config.model.image_size,
        seed=config.seed,
        **{key: getattr(options, key) for key in CATALOGUE[options.name].keys},
    )
