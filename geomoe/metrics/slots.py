"""Slots of an expert, a class and two domains: which of them a router selects, and how aligned they are.

A slot (m, i, j, c) says that expert m aligns class c between domains i < j. Definitions: MESSI, arXiv
2606.25665, E.4. This module does not import torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array

ALPHA = 4.0  # the paper's value


class Slots(NamedTuple):
    """The valid slots of a set of samples: those whose two cells have samples.

    E experts, S pairs of cells.

    Attributes:
        first: (S,) domain i.
        second: (S,) domain j > i.
        label: (S,) class c.
        responsibility: (E, S) a = sigmoid(alpha rho_ic) sigmoid(alpha rho_jc), each from 1/4 to 1.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    label: NDArray[np.int64]
    responsibility: NDArray[np.float64]


def slots_of(prototypes: Values, alpha: float = ALPHA) -> Slots:
    """The slots of a router and their responsibilities (MESSI, eq. 66 and 67).

    Args:
        prototypes: (K, C, E) routing masses rho of :func:`geomoe.metrics.class_routing`; NaN in cells without
            samples.
        alpha: sharpness.

    Raises:
        InputError: not three axes, or a sharpness that is not finite.
    """
    rho = as_array(prototypes, "prototypes", ndim=3).astype(np.float64)
    if not np.isfinite(alpha):
        raise InputError(f"alpha: expected a finite number; got {alpha}")
    present = np.equal(np.isnan(rho).sum(axis=2), 0)
    first, second = np.triu_indices(len(rho), 1)
    pair, label = np.nonzero(present[first] & present[second])
    first, second = first[pair], second[pair]
    sharp = 1 / (1 + np.exp(-alpha * rho))
    return Slots(first, second, label, (sharp[first, label] * sharp[second, label]).T)


def responsibility_correlation(first: Values, second: Values) -> float:
    """Pearson correlation r of two responsibilities over the same slots (MESSI, eq. 68).

    Two routers that send everything to one expert each have r = 1 if it has the same number, and
    r = -1 / (E - 1) if not, which is -0.2 for 6 experts: see :func:`permuted_correlation`.

    Args:
        first: (E, S).
        second: (E, S).

    Returns:
        -1 to 1; NaN if a responsibility is the same in all slots.

    Raises:
        InputError: shapes that differ.
    """
    a, b = _pair(first, second)
    a, b = a - a.mean() if a.size else a, b - b.mean() if b.size else b
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    flat = min(np.ptp(a), np.ptp(b)) < 1e-9 if a.size else True
    return float("nan") if flat else float(np.clip((a * b).sum() / scale, -1, 1))


class PermutedCorrelation(NamedTuple):
    """r under all renumberings of the second router's experts.

    Attributes:
        best: the largest r, which is that of matched experts.
        mean: mean r over all E! renumberings, in closed form.
        worst: the smallest r.
    """

    best: float
    mean: float
    worst: float


def permuted_correlation(first: Values, second: Values) -> PermutedCorrelation:
    """The range of :func:`responsibility_correlation` under renumberings of one router's experts.

    A renumbering changes neither the mean nor the variance of the flattened responsibilities. So r is an
    affine function of sum_m <a_m, b_p(m)>: an assignment problem gives its extremes exactly, and its mean
    over all renumberings is that of E <mean_m a_m, mean_m b_m>.

    Args:
        first: (E, S).
        second: (E, S).

    Raises:
        InputError: shapes that differ.
    """
    a, b = _pair(first, second)
    if np.isnan(responsibility_correlation(a, b)):
        return PermutedCorrelation(*3 * (float("nan"),))
    gain = a @ b.T
    scale = a.std() * b.std() * a.size
    total = [gain[linear_sum_assignment(gain, maximize=most)].sum() for most in (True, False)]
    middle = len(a) * float(a.mean(axis=0) @ b.mean(axis=0))
    best, mean, worst = (
        float(np.clip((value - a.size * a.mean() * b.mean()) / scale, -1, 1))
        for value in (total[0], middle, total[1])
    )
    return PermutedCorrelation(best, mean, worst)


def match_experts(gain: Values) -> NDArray[np.int64]:
    """The assignment of experts with the largest total gain (Hungarian algorithm).

    Args:
        gain: (E, E) gain of matching expert m of the first router with expert n of the second: inner products
            of responsibilities, or counts of samples that have both.

    Returns:
        (E,) for each expert of the first router, its partner; a permutation.

    Raises:
        InputError: not a square matrix of finite numbers.
    """
    matrix = as_array(gain, "gain", ndim=2).astype(np.float64)
    if matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise InputError(f"gain: expected a square matrix of finite numbers; got shape {matrix.shape}")
    return linear_sum_assignment(matrix, maximize=True)[1]


def selected_slots(responsibility: Values, percent: float = 10.0) -> NDArray[np.bool_]:
    """The slots with the largest responsibilities: the top percent, at least one.

    The paper gives no percentage. Slots that tie with the last selected one are selected too, so that the
    numbering of experts, domains and classes does not matter.

    Args:
        responsibility: (E, S).
        percent: above 0, at most 100.

    Returns:
        (E, S) mask.

    Raises:
        InputError: not two axes, or a percentage out of range.
    """
    a = as_array(responsibility, "responsibility", ndim=2).astype(np.float64)
    if not 0 < percent <= 100:
        raise InputError(f"percent: expected above 0 and at most 100; got {percent}")
    if not a.size:
        return np.zeros(a.shape, dtype=bool)
    count = max(1, round(a.size * percent / 100))
    last = np.partition(a.ravel(), a.size - count)[a.size - count]
    return a >= last - 1e-12


def slot_overlap(first: Values, second: Values) -> float:
    """Jaccard overlap J = |A and B| / |A or B| of two selections of slots (MESSI, eq. 69).

    Args:
        first: (E, S) mask.
        second: (E, S) mask.

    Returns:
        0 to 1; NaN if nothing is selected.

    Raises:
        InputError: shapes that differ.
    """
    a, b = (side.astype(bool) for side in _pair(first, second))
    either = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / either if either else float("nan")


def energy_distance(first: Values, second: Values) -> float:
    """Empirical energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo) with Euclidean norms.

    All pairs count, including those of a sample with itself, so the distance is 0 for equal sets and never
    negative. In one dimension it is the square of ``scipy.stats.energy_distance``. It has the unit of the
    features.

    Args:
        first: (n, D) features.
        second: (m, D) features.

    Raises:
        InputError: not two axes, no samples, or widths that differ.
    """
    x, y = (as_array(one, "features", ndim=2).astype(np.float64) for one in (first, second))
    if not len(x) or not len(y) or x.shape[1] != y.shape[1]:
        raise InputError(f"features: expected (n, D) and (m, D) with samples; got {x.shape} and {y.shape}")
    return max(float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()), 0.0)


def _pair(first: Values, second: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = (as_array(one, "slots", ndim=2).astype(np.float64) for one in (first, second))
    if a.shape != b.shape:
        raise InputError(f"slots: expected two arrays of one shape (E, S); got {a.shape} and {b.shape}")
    return a, b
