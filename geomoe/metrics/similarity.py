"""Similarity of experts for reports: exact, in float64, without gradients."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array


def expert_cka(
    expert_outputs: Values, estimator: Literal["unbiased", "biased"] = "unbiased"
) -> NDArray[np.float64]:
    """Linear CKA between all pairs of experts; the formulas are in :mod:`geomoe.losses.cka`.

    Unlike the loss, which is always a number, it is NaN if CKA is not defined: for experts whose
    outputs do not depend on the row.

    Args:
        expert_outputs: (E, R, D) every expert's output on the same R rows.
        estimator: "unbiased" (needs 4 rows) or "biased" (2 rows).

    Returns:
        (E, E) symmetric, 1 on the diagonal.

    Raises:
        InputError: not an (E, R, D) array, too few rows, or an unknown estimator.
    """
    x = as_array(expert_outputs, "expert_outputs", ndim=3).astype(np.float64)
    rows = x.shape[1]
    if estimator not in ("unbiased", "biased"):
        raise InputError(f"estimator: expected unbiased or biased; got {estimator!r}")
    if rows < (need := 4 if estimator == "unbiased" else 2):
        raise InputError(f"expert_outputs: the {estimator} estimator needs {need} rows or more; got {rows}")
    centred = x - x.mean(axis=1, keepdims=True)
    energy = np.square(centred).sum(axis=(1, 2))
    constant = energy <= 1e-24 * np.square(x).sum(axis=(1, 2))
    centred /= np.sqrt(np.where(constant, 1.0, energy))[:, None, None]
    overlap = np.array([[np.square(a.T @ b).sum() for b in centred] for a in centred]).reshape(2 * [len(x)])
    hsic = overlap
    if estimator == "unbiased":
        norms = np.square(centred).sum(axis=2)
        total = norms.sum(axis=1)
        hsic = (
            overlap - norms @ norms.T * rows / (rows - 2) + np.outer(total, total) / ((rows - 1) * (rows - 2))
        )
    size = hsic.diagonal()
    undefined = constant | (size <= 1e-12 * overlap.diagonal())
    size = np.where(undefined, np.nan, size)
    return hsic / np.sqrt(np.outer(size, size))
