"""How much of a mutual information chance explains, from permutations. This module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, check_rows
from geomoe.metrics.information import information_of_ids, mutual_information

Shuffle = Callable[[np.random.Generator], NDArray[np.int64]]


class Null(NamedTuple):
    """A mutual information under permutations of one labelling.

    Attributes:
        mean: mean over the permutations, nats: what chance and what the permutations keep explain.
        high: 95th percentile, nats.
        p: (1 + number of permutations with at least the observed value) / (1 + number of permutations).
    """

    mean: float
    high: float
    p: float


def permuted_information(
    first: Values, second: Values, shuffle: Shuffle, *, permutations: int = 200, seed: int = 0
) -> Null:
    """The distribution of the mutual information when the first labelling is permuted.

    The plug-in estimate of a mutual information is above 0 even for independent labels, and grows with the
    number of cells of the table. The null distribution shows by how much.

    Args:
        first: (n,) labels that are permuted.
        second: (n,) labels that stay in place.
        shuffle: gives a new order of the n samples: :func:`free_order`, :func:`block_order` or
            :func:`order_within`.
        permutations: number of permutations, at least 1.
        seed: seed of the permutations.

    Raises:
        InputError: as :func:`geomoe.metrics.mutual_information`, or no permutations.
    """
    if permutations < 1:
        raise InputError(f"permutations: expected at least 1; got {permutations}")
    observed = mutual_information(first, second).nats
    a, b = (np.unique(as_array(labels, "labels"), return_inverse=True)[1] for labels in (first, second))
    rng, ones = np.random.default_rng(seed), np.ones(len(a))
    nats = np.array([information_of_ids(a[shuffle(rng)], b, ones).nats for _ in range(permutations)])
    above = int((nats >= observed - 1e-12).sum())
    return Null(float(nats.mean()), float(np.quantile(nats, 0.95)), (1 + above) / (1 + permutations))


def free_order(count: int) -> Shuffle:
    """Permutations of all samples, which are taken as exchangeable."""
    return lambda rng: rng.permutation(count)


def block_order(block: Values) -> Shuffle:
    """Permutations of whole blocks; samples keep their order inside their block.

    Neighbours are similar, so a free permutation makes nearly any pattern on a map look significant. Here
    neighbours stay together, and only the positions of the blocks change. If each sample is a block of its
    own, this is :func:`free_order`.

    Args:
        block: (n,) block of each sample.
    """
    ids = np.unique(as_array(block, "block"), return_inverse=True)[1].reshape(-1)
    place = np.argsort(ids, kind="stable")  # samples, block by block
    runs = np.split(place, np.cumsum(np.bincount(ids))[:-1])

    def order(rng: np.random.Generator) -> NDArray[np.int64]:
        found = np.empty(len(ids), dtype=np.int64)
        found[place] = np.concatenate([runs[number] for number in rng.permutation(len(runs))])
        return found

    return order


def order_within(group: Values, count: int) -> Shuffle:
    """Permutations inside each group; the mutual information that remains is what the groups alone explain.

    Args:
        group: (n,) group of each sample, such as its region.
        count: n.

    Raises:
        InputError: the groups are not ``count`` ids.
    """
    ids = np.unique(as_array(group, "group"), return_inverse=True)[1].reshape(-1)
    check_rows(len(ids), "group", count)
    members = [np.flatnonzero(ids == one) for one in range(int(ids.max()) + 1)]

    def order(rng: np.random.Generator) -> NDArray[np.int64]:
        found = np.arange(count)
        for rows in members:
            found[rows] = rng.permutation(rows)
        return found

    return order
