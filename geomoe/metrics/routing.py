"""Routing statistics over samples or places: load, dead experts and entropy, each defined once.

This module does not import torch, so that it works for maps without torch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_gates, as_weights, check_some

#: An expert with less than this fraction of its fair share of the gate weight is dead.
DEAD_SHARE = 0.05


class Load(NamedTuple):
    """For each expert: mean gate weight (E,) and share of samples of which it is the top-1 expert (E,)."""

    mean_weight: NDArray[np.float64]
    top1_share: NDArray[np.float64]


def routing_load(weights: Values, sample_weight: Values | None = None) -> Load:
    """Mean gate weight and top-1 share of each expert; both sum to 1.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.

    Raises:
        InputError: no rows, rows that are not distributions, or invalid sample weights.
    """
    gates = as_gates(weights)
    share = as_weights(sample_weight, len(gates))
    share = share / share.sum()
    top1 = np.bincount(gates.argmax(axis=1), weights=share, minlength=gates.shape[1])
    return Load(share @ gates, top1.astype(np.float64))


def dead_experts(mean_weight: Values, alive: Values | None = None) -> list[int]:
    """Return the rarely used experts: those with less than 5 % of their fair share of the gate weight.

    The fair share of each of E experts is 1 / E, so that with 4 experts one is dead below a mean weight of
    0.0125. Spare slots, which a method with a changing number of experts may fill later, hold no expert: they
    are not dead, and have no fair share. The training log, reports and maps use this definition.

    Args:
        mean_weight: (E,) mean gate weights, which sum to 1: over an epoch, a split, or the area of a map.
        alive: (E,) bool, whether a slot holds an expert; None: all do.

    Raises:
        InputError: wrong shape, no experts, or weights that are negative, not finite or do not sum to 1.
    """
    load = as_array(mean_weight, "mean_weight").astype(np.float64)
    check_some(load, "mean_weight")
    if not ((load >= 0).all() and abs(load.sum() - 1) < 1e-2):  # written so that NaN fails too
        raise InputError(f"mean_weight: expected weights of 0 or more that sum to 1; got {load.tolist()}")
    there = np.ones(len(load), dtype=bool) if alive is None else as_array(alive, "alive").astype(bool)
    if there.shape != load.shape:
        raise InputError(f"alive: expected {len(load)} flags; got {len(there)}")
    return np.flatnonzero(there & (load * there.sum() < DEAD_SHARE)).tolist()


def routing_entropy(weights: Values, sample_weight: Values | None = None) -> float:
    """Mean over samples of the entropy of the gate weights, in nats: 0 for a single expert, at most ln E.

    With top-k gates it is at most ln k.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.

    Raises:
        InputError: as in :func:`routing_load`.
    """
    gates = as_gates(weights)
    share = as_weights(sample_weight, len(gates))
    return float(share @ entropies(gates) / share.sum()) + 0.0  # never -0.0


def normalised_entropy(weights: Values, sample_weight: Values | None = None) -> float:
    """:func:`routing_entropy` divided by ln E: 0 for a single expert, 1 for equal weights.

    With top-k gates it is at most ln k / ln E.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.

    Raises:
        InputError: as in :func:`routing_load`.
    """
    return over_log(routing_entropy(weights, sample_weight), as_array(weights, "weights", ndim=2).shape[1])


def entropies(gates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...,) entropy in nats along the last axis of (..., E) shares; 0 ln 0 is 0, and NaN stays NaN."""
    logs = np.log(gates, where=gates > 0, out=np.zeros_like(gates))
    return -(gates * logs).sum(axis=-1)


def over_log(nats: Any, experts: int) -> Any:  # noqa: ANN401 - a number or an array, as given
    """Entropy in nats divided by ln E; 0 if there is only one expert."""
    return nats / math.log(max(experts, 2))
