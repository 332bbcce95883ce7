"""How the routers share out samples or places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.metrics.arrays import Values, as_gates, as_weights


class Load(NamedTuple):
    """Each expert's share: mean gate weight (E,) and share of samples that it leads, top-1 (E,)."""

    mean_weight: NDArray[np.float64]
    top1_share: NDArray[np.float64]


class Entropy(NamedTuple):
    """Mean routing entropy in nats, and divided by ln E: 0 for one expert alone, 1 for all alike."""

    nats: float
    normalized: float


def routing_load(weights: Values, sample_weight: Values | None = None) -> Load:
    """Mean gate weight and top-1 share of each expert; both sum to 1.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.

    Raises:
        InputError: no rows, rows that are no distribution, or bad sample weights.
    """
    gates = as_gates(weights)
    share = as_weights(sample_weight, len(gates))
    share = share / share.sum()
    top1 = np.bincount(gates.argmax(axis=1), weights=share, minlength=gates.shape[1])
    return Load(share @ gates, top1.astype(np.float64))


def routing_entropy(weights: Values, sample_weight: Values | None = None) -> Entropy:
    """Mean over samples of the entropy of the gate weights.

    With top-k gates it is at most ln k, so that the normalised value is at most ln k / ln E.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.

    Raises:
        InputError: as in :func:`routing_load`.
    """
    gates = as_gates(weights)
    share = as_weights(sample_weight, len(gates))
    logs = np.log(gates, where=gates > 0, out=np.zeros_like(gates))
    nats = float(share @ -(gates * logs).sum(axis=1) / share.sum()) + 0.0  # never -0.0
    experts = gates.shape[1]
    return Entropy(nats, nats / float(np.log(experts)) if experts > 1 else 0.0)


def dead_experts(weights: Values, sample_weight: Values | None = None, threshold: float = 1e-3) -> list[int]:
    """Experts that hardly answer for anyone: a mean gate weight of at most ``threshold``.

    Args:
        weights: (n, E) gate weights.
        sample_weight: (n,) weights, such as each cell's area.
        threshold: 0: only experts that are never chosen.

    Raises:
        InputError: as in :func:`routing_load`.
    """
    return np.flatnonzero(routing_load(weights, sample_weight).mean_weight <= threshold).tolist()
