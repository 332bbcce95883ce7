"""How different experts are, sample by sample (MESSI, arXiv 2606.25665, E.2). It does not need torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array

_CHUNK = 4096  # samples at once in float64


def expert_cosines(outputs: Values) -> NDArray[np.float64]:
    """Mean cosine of all pairs of experts: E_x[cos(h_m(x), h_n(x))] (MESSI, eq. 64).

    Args:
        outputs: (E, n, D) every expert's output on the same n samples.

    Returns:
        (E, E) symmetric, -1 to 1, and 1 on the diagonal. A sample of which either output is zero counts in no
        mean of that pair; NaN for a pair without samples.

    Raises:
        InputError: not three axes, or no samples.
    """
    x = _outputs(outputs)
    experts, count, _ = x.shape
    total, seen = np.zeros((experts, experts)), np.zeros((experts, experts))
    for start in range(0, count, _CHUNK):
        part = x[:, start : start + _CHUNK].astype(np.float64)
        length = np.linalg.norm(part, axis=2, keepdims=True)
        unit = part / np.where(length > 0, length, 1)
        there = (length[:, :, 0] > 0).astype(np.float64)
        total += np.einsum("mnd,knd->mk", unit, unit, optimize=True)
        seen += there @ there.T
    return np.divide(total, seen, out=np.full_like(total, np.nan), where=seen > 0).clip(-1, 1)


def off_diagonal_mean(matrix: Values) -> float:
    """Mean of the entries off the diagonal that are not NaN; NaN if there are none.

    Args:
        matrix: (E, E).

    Raises:
        InputError: not two axes.
    """
    square = as_array(matrix, "matrix", ndim=2).astype(np.float64)
    off = square[~np.eye(len(square), dtype=bool)]
    off = off[~np.isnan(off)]
    return float(off.mean()) if len(off) else float("nan")


def effective_ranks(outputs: Values) -> NDArray[np.float64]:
    """Effective rank of each sample's stacked expert outputs (MESSI, eq. 65; Roy and Vetterli, 2007).

    erank = exp(-sum_i p_i ln p_i) with p_i = s_i / sum_j s_j, for the singular values s of the (E, D) matrix
    whose rows are h_1(x) to h_E(x): 1 if all are parallel, E if they are orthogonal and equally long.

    The paper does not say what is stacked. Its values of 3.6 to 4.2 with six experts need a matrix of rank
    6 at most, which one sample gives; the paper's number is then the mean over samples.

    Args:
        outputs: (E, n, D) every expert's output on the same n samples.

    Returns:
        (n,) numbers from 1 to min(E, D); NaN where all outputs are zero.

    Raises:
        InputError: not three axes, or no samples.
    """
    x = _outputs(outputs)
    found = []
    for start in range(0, x.shape[1], _CHUNK):
        rows = x[:, start : start + _CHUNK].astype(np.float64).transpose(1, 0, 2)
        values = np.linalg.svd(rows, compute_uv=False)
        total = values.sum(axis=1, keepdims=True)
        share = np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
        logs = np.log(share, where=share > 0, out=np.zeros_like(share))
        found.append(np.exp(-(share * logs).sum(axis=1)))
    return np.concatenate(found)


def _outputs(values: Values) -> NDArray[np.floating]:
    x = as_array(values, "outputs", ndim=3)
    if 0 in x.shape:
        raise InputError(f"outputs: expected experts, samples and features; got shape {x.shape}")
    return x
