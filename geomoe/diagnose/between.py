"""Diagnostics between two checkpoints of one architecture, with and without matching their experts."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from geomoe.diagnose.alignment import slot_energy, slots_of_layer, unit_length
from geomoe.diagnose.plain import number
from geomoe.diagnose.values import Matching, Pair, PairLayer, SlotEnergy
from geomoe.earth.land import SEA, earth_at
from geomoe.earth.moves import even_points
from geomoe.metrics.agreement import routing_agreement
from geomoe.metrics.slots import (
    match_experts,
    permuted_correlation,
    responsibility_correlation,
    selected_slots,
    slot_overlap,
)
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.sweep import Seen
    from geomoe.diagnose.values import Settings
    from geomoe.inference import Predictor
    from geomoe.metrics.slots import Slots

POINTS = 20_000  # spread evenly over the Earth; about 6,000 lie on land
DIGITS = string.digits + string.ascii_lowercase


class Side(NamedTuple):
    """One checkpoint of a pair: name, answers, and (M, P) dominant experts at points on land, or None."""

    name: str
    seen: Seen
    map: NDArray[np.int64] | None


def routing_map(predictor: Predictor) -> NDArray[np.int64] | None:
    """(M, P) dominant expert on points spread evenly over land; None if the routers do not read places."""
    if not predictor.num_experts or predictor.encoder is None or predictor.config.encoder.name == "domain":
        return None
    lonlat = land_points()
    with torch.inference_mode():
        routings = predictor.model.route_places(Place.of(torch.from_numpy(lonlat)).to(predictor.device))
    return np.stack([routing.weights.argmax(dim=1).cpu().numpy() for routing in routings])


def land_points() -> NDArray[np.float64]:
    """(P, 2) lonlat degrees of points on land, each of which represents the same area."""
    lonlat = even_points(POINTS)
    return lonlat[earth_at(lonlat).region != SEA]


def land_of(side: Side) -> dict[str, str]:
    """Layer -> its dominant expert at :func:`land_points`, as digits; empty where there is no map."""
    if side.map is None or side.map.max() >= len(DIGITS):
        return {}
    return {
        name: "".join(DIGITS[expert] for expert in experts.tolist())
        for name, experts in zip(side.seen.layers, side.map, strict=True)
    }


def pairs_of(sides: Sequence[Side], samples: Samples, settings: Settings) -> tuple[Pair, ...]:
    """All pairs of checkpoints, in order."""
    return tuple(
        pair_of(first, second, samples, settings)
        for number, first in enumerate(sides)
        for second in sides[number + 1 :]
    )


def pair_of(first: Side, second: Side, samples: Samples, settings: Settings) -> Pair:
    """Compare one pair of checkpoints."""
    layers = tuple(_layer(first, second, at, samples, settings) for at in range(len(first.seen.layers)))
    same = float((first.seen.predicted == second.seen.predicted).mean())
    return Pair(first.name, second.name, same, layers)


def _layer(first: Side, second: Side, at: int, samples: Samples, settings: Settings) -> PairLayer:
    seen = (first.seen, second.seen)
    used = np.any([one.alive_in(at) for one in seen], axis=0)  # a slot that is spare in both is no expert
    there = np.flatnonzero(used)
    a, b = (slots_of_layer(one.weights[at][:, there], samples, settings.alpha) for one in seen)
    partner = match_experts(a.responsibility @ b.responsibility.T)
    permuted = permuted_correlation(a.responsibility, b.responsibility)
    chosen_a, chosen_b = (selected_slots(one.responsibility, settings.top_percent) for one in (a, b))
    outputs = [one.outputs[at][there] for one in seen]
    experts, back = len(used), np.argsort(partner)
    by_slot = np.arange(experts)
    by_slot[there] = there[partner]
    return PairLayer(
        name=first.seen.layers[at],
        r=number(responsibility_correlation(a.responsibility, b.responsibility)),
        r_matched=number(permuted.best),
        r_mean=number(permuted.mean),
        r_worst=number(permuted.worst),
        overlap=number(slot_overlap(chosen_a, chosen_b)),
        overlap_matched=number(slot_overlap(chosen_a, chosen_b[partner])),
        partner=tuple(by_slot.tolist()),
        on_first=_energy(outputs[0], outputs[1], partner, samples, a, chosen_a),
        on_second=_energy(outputs[1], outputs[0], back, samples, b, chosen_b),
        spare=tuple(np.flatnonzero(~used).tolist()),
        samples=_matching(first.seen.top1[at], second.seen.top1[at], experts),
        map=None
        if first.map is None or second.map is None
        else _matching(first.map[at], second.map[at], experts),
    )


def _energy(
    own: NDArray[np.float32],
    other: NDArray[np.float32],
    partner: NDArray[np.int64],
    samples: Samples,
    slots: Slots,
    chosen: NDArray[np.bool_],
) -> SlotEnergy:
    """Energy distances on the slots that one router selected; ``partner``: its experts in the other."""
    compared = (own, other, other[partner])
    return SlotEnergy(
        *(slot_energy(outputs, samples, slots, chosen) for outputs in compared),
        *(slot_energy(unit_length(outputs), samples, slots, chosen) for outputs in compared),
    )


def _matching(first: NDArray[np.int64], second: NDArray[np.int64], experts: int) -> Matching:
    found = routing_agreement(first, second, experts)
    partner = tuple(found.partner.tolist())
    return Matching(len(first), found.same, found.matched, found.adjusted_rand, partner)
