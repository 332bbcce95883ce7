"""Routing by domain and class: mean gate weights of cells, and how far domains differ.

The prototypes and their divergence are those of MESSI, arXiv 2606.25665, E.1 and E.3. This module does not
import torch.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_gates, as_ids, check_some
from geomoe.metrics.routing import entropies


def load_deviation(mean_weight: Values) -> float:
    """Standard deviation of the experts' mean gate weights: sqrt(mean_m (load_m - 1 / E)^2), with divisor E.

    At least 0 (even loads) and at most sqrt(E - 1) / E (one expert alone), which is 0.373 for 6 experts.
    Loads are also even if the router weights all experts equally for every sample, so read this together with
    :func:`geomoe.metrics.routing_entropy` (MESSI, E.1).

    Args:
        mean_weight: (E,) mean gate weights.

    Raises:
        InputError: wrong shape, or no experts.
    """
    load = as_array(mean_weight, "mean_weight").astype(np.float64)
    check_some(load, "mean_weight")
    return float(load.std())


def most_deviation(experts: int) -> float:
    """The largest :func:`load_deviation` of E experts, when one has all the weight: sqrt(E - 1) / E."""
    return math.sqrt(experts - 1) / experts


def domain_routing(weights: Values, domain: Values, domains: int) -> NDArray[np.float64]:
    """P(e|d), the mean gate weights of each domain: (K, E); NaN in rows of domains without samples.

    Args:
        weights: (n, E) gate weights.
        domain: (n,) domain ids; samples with a negative id (unknown) count nowhere.
        domains: K.

    Raises:
        InputError: rows that are not distributions, shapes that do not fit, or an id of K or more.
    """
    gates = as_gates(weights)
    return _cell_means(gates, _ids(domain, "domain", len(gates), domains), domains)


def class_routing(
    weights: Values, domain: Values, label: Values, domains: int, classes: int
) -> NDArray[np.float64]:
    """P(e|d, y), the mean gate weights of each cell of a domain and a class: (K, C, E) (MESSI, eq. 66).

    Args:
        weights: (n, E) gate weights.
        domain: (n,) domain ids; samples with a negative id (unknown) count nowhere.
        label: (n,) class ids.
        domains: K.
        classes: C.

    Returns:
        NaN in cells without samples.

    Raises:
        InputError: rows that are not distributions, shapes that do not fit, or an id that is too large.
    """
    gates = as_gates(weights)
    where = _ids(domain, "domain", len(gates), domains)
    what = _ids(label, "label", len(gates), classes)
    cell = np.where((where >= 0) & (what >= 0), where * classes + what, -1)
    return _cell_means(gates, cell, domains * classes).reshape(domains, classes, -1)


def _ids(values: Values, name: str, rows: int, count: int) -> NDArray[np.int64]:
    ids = as_ids(values, name, rows)
    if ids.max(initial=-1) >= count:
        raise InputError(f"{name}: expected ids below {count}; got {ids.max()}")
    return ids


def _cell_means(gates: NDArray[np.float64], cell: NDArray[np.int64], cells: int) -> NDArray[np.float64]:
    known = cell >= 0
    sums = np.zeros((cells, gates.shape[1]))
    np.add.at(sums, cell[known], gates[known])
    counts = np.bincount(cell[known], minlength=cells)[:, None]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def jensen_shannon(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jensen-Shannon divergence in nats along the last axis: 0 for equal distributions, at most ln 2.

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2.

    Args:
        first: (..., E) distributions.
        second: (..., E) distributions; both are broadcast. NaN where either has NaN.
    """
    middle = entropies((first + second) / 2)
    return np.maximum(middle - (entropies(first) + entropies(second)) / 2, 0)


def routing_divergence(prototypes: Values) -> float:
    """Mean Jensen-Shannon divergence of the cells' routing from their class's template (MESSI, E.1).

    The template of class c is p_c = mean_k p_kc over the domains that have the class. The mean goes over the
    cells (k, c) of classes in two domains or more; a class in one domain is its own template. Collapsed
    routing gives 0, too.

    Args:
        prototypes: (K, C, E) of :func:`class_routing`; NaN in cells without samples.

    Returns:
        Nats, 0 to ln 2; NaN if no class is in two domains.

    Raises:
        InputError: not three axes.
    """
    cells = as_array(prototypes, "prototypes", ndim=3).astype(np.float64)
    present = np.equal(np.isnan(cells).sum(axis=2), 0)
    shared = present.sum(axis=0) > 1
    if not shared.any():
        return float("nan")
    template = np.nanmean(cells[:, shared], axis=0)
    found = jensen_shannon(cells[:, shared], template[None])
    return float(found[present[:, shared]].mean())


def domain_divergences(routing: Values) -> NDArray[np.float64]:
    """Jensen-Shannon divergence in nats between the routing of all pairs of domains.

    Args:
        routing: (K, E) of :func:`domain_routing`.

    Returns:
        (K, K) symmetric, 0 on the diagonal; NaN for domains without samples.

    Raises:
        InputError: not two axes.
    """
    rows = as_array(routing, "routing", ndim=2).astype(np.float64)
    return jensen_shannon(rows[:, None], rows[None])
