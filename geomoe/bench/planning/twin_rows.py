"""The rows of dense twins; :mod:`geomoe.bench.running.twins` finds their widths."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from geomoe.bench.planning.rows import Row, make_row
from geomoe.bench.planning.spec import Algorithm
from geomoe.build import build_network
from geomoe.catalogue import BASELINE_METHOD, METHODS
from geomoe.config.rules import refuse
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.bench.planning.spec import Spec, Twin
    from geomoe.config import RunConfig

#: Facts with which a network can be built before the data is read.
FAKE = {"classes": ["a", "b"], "domains": ["a", "b"], "bands": 3}


def is_mixture(algorithm: str) -> bool:
    """Whether a method trains a network with experts, which is so if it is in the folder of such methods."""
    return METHODS[algorithm].target.split(".")[2] == "experts"


def twin_rows(spec: Spec, rows: Sequence[Row]) -> list[Row]:
    """A row for each twin; networks with the same number of parameters share one.

    Raises:
        ConfigError: no row has experts, or a network is not one that can be widened.
    """
    mixtures = [row for row in rows if is_mixture(row.algorithm)]
    faults: list[str] = []
    if not mixtures:
        faults.append(f"twins: no algorithm of the spec has experts ({spec.source})")
    for row in mixtures:
        if row.config.model.weights is not None or row.config.model.init_from is not None:
            faults.append(
                f"twins: {row.label} starts from pretrained weights, which fit the own width alone; set "
                f"model.weights and model.init_from to null, or leave twins out ({spec.source})"
            )
    refuse(faults)
    found: list[Row] = []
    for kind in spec.twins:
        groups: dict[Any, list[Row]] = {}
        for row in mixtures:
            key = count_parameters(row.config, FAKE) if kind == "parameters" else row.label
            groups.setdefault(key, []).append(row)
        found += [_twin_row(spec, kind, group) for group in groups.values()]
    return found


def _twin_row(spec: Spec, kind: Twin, group: Sequence[Row]) -> Row:
    first, faults = group[0], list[str]()
    shared = tuple(one for one in first.settings if not one.key.startswith("method."))
    twin = Algorithm(BASELINE_METHOD, "", around=first.config.around, settings=shared)
    label = f"{BASELINE_METHOD}-{kind}-of-{first.label}"
    row = make_row(spec, label, twin, {}, faults)
    refuse(faults)
    if row is None:
        raise ConfigError(f"twins: {label} cannot be configured ({spec.source})")
    return replace(row, twin=kind, of=tuple(one.label for one in group))


def count_parameters(config: RunConfig, info: dict[str, Any]) -> int:
    """Parameters of the network of a run."""
    with torch.random.fork_rng(devices=[]):
        return sum(one.numel() for one in build_network(config, info).parameters())
