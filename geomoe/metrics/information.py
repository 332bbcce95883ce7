"""Mutual information between two labellings of places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_weights, check_rows, check_some
from geomoe.metrics.routing import entropies


class MutualInformation(NamedTuple):
    """Mutual information in nats, and divided by the mean of both entropies: 0 to 1."""

    nats: float
    normalized: float


def mutual_information(
    first: Values, second: Values, sample_weight: Values | None = None
) -> MutualInformation:
    """Mutual information of two discrete labellings of the same samples.

    This is the plug-in estimate: with few samples in a cell of the contingency table it is too high.

    Args:
        first: (n,) labels: integers or text, such as each cell's dominant expert.
        second: (n,) labels, such as land cover or region.
        sample_weight: (n,) weights, such as each cell's area.

    Returns:
        Both numbers; the normalised one is 0 if a labelling is constant, and 1 for labels that
        determine each other.

    Raises:
        InputError: shapes that do not fit, no samples, labels that are real numbers, invalid weights.
    """
    a, b = as_array(first, "first"), as_array(second, "second")
    check_rows(len(b), "second", len(a))
    check_some(a, "first")
    for name, labels in (("first", a), ("second", b)):
        if labels.dtype.kind == "f":
            raise InputError(f"{name}: expected discrete labels (integers or text); got {labels.dtype}")
    weight = as_weights(sample_weight, len(a))
    a_ids, b_ids = (np.unique(labels, return_inverse=True)[1].reshape(-1) for labels in (a, b))
    return information_of_ids(a_ids, b_ids, weight)


def information_of_ids(
    first: NDArray[np.int64], second: NDArray[np.int64], weight: NDArray[np.float64]
) -> MutualInformation:
    """:func:`mutual_information` of ids from 0, without checks: for many calls on the same samples."""
    columns = int(second.max()) + 1
    cells = np.bincount(first * columns + second, weights=weight, minlength=(first.max() + 1) * columns)
    joint = cells.reshape(-1, columns) / weight.sum()
    rows, cols = joint.sum(axis=1), joint.sum(axis=0)
    both = float(entropies(rows) + entropies(cols))
    nats = max(both - float(entropies(joint.ravel())), 0.0)
    constant = min(np.count_nonzero(rows), np.count_nonzero(cols)) < 2
    return MutualInformation(0.0, 0.0) if constant else MutualInformation(nats, min(nats / (both / 2), 1.0))
