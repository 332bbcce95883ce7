"""Convert arrays or tensors to validated numpy arrays, for all metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomoe.errors import InputError
from geomoe.support.text import counted

if TYPE_CHECKING:
    from torch import Tensor

    Values = ArrayLike | Tensor
else:
    Values = ArrayLike  # torch is not imported only for a type: metrics of arrays work without it


def as_array(values: Values, name: str, ndim: int = 1) -> NDArray[Any]:
    """A numpy array with ``ndim`` axes; tensors are copied to the CPU.

    Raises:
        InputError: wrong number of axes.
    """
    if hasattr(values, "detach"):  # a tensor
        values = values.detach().cpu()
        half = values.is_floating_point() and values.element_size() == 2  # numpy has no bfloat16
        values = values.float() if half else values
    array = np.asarray(values)
    if array.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} axes; got shape {array.shape}")
    return array


def as_ids(values: Values, name: str, rows: int | None = None) -> NDArray[np.int64]:
    """A vector of integer ids, with ``rows`` entries if that is given.

    Raises:
        InputError: wrong shape or length, or numbers that are not integers.
    """
    array = as_array(values, name)
    if array.dtype.kind not in "iub" and array.size:
        raise InputError(f"{name}: expected integer ids; got {array.dtype}")
    check_rows(len(array), name, rows)
    return array.astype(np.int64)


def as_weights(values: Values | None, rows: int, name: str = "sample_weight") -> NDArray[np.float64]:
    """Sample weights that are finite, not negative and not all zero; None: all equal.

    Raises:
        InputError: wrong length, or invalid weights.
    """
    if values is None:
        return np.ones(rows)
    array = as_array(values, name).astype(np.float64)
    check_rows(len(array), name, rows)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"{name}: expected finite weights of 0 or more; row {row} has {array[row]}")
    if not array.sum() > 0:
        raise InputError(f"{name}: all {rows} weights are zero")
    return array


def as_gates(weights: Values) -> NDArray[np.float64]:
    """Gate weights (n, E): rows that are not negative and sum to 1.

    Raises:
        InputError: wrong shape, no rows, or a row that is not a distribution.
    """
    array = as_array(weights, "weights", ndim=2).astype(np.float64)
    check_some(array, "weights")
    bad = ~((array >= 0).all(axis=1) & (np.abs(array.sum(axis=1) - 1) < 1e-2))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"weights: gate weights are 0 or more and sum to 1; row {row} has {array[row].tolist()}"
        )
    return array


def check_rows(found: int, name: str, rows: int | None) -> None:
    """Refuse a number of rows other than expected.

    Raises:
        InputError: the number is wrong.
    """
    if rows is not None and found != rows:
        raise InputError(f"{name}: expected {counted(rows, 'row')}, as many as the other arrays; got {found}")


def check_some(array: NDArray[Any], name: str) -> None:
    """Refuse an empty array.

    Raises:
        InputError: the array is empty.
    """
    if array.size == 0:
        raise InputError(f"{name}: empty, there is nothing to measure; got shape {array.shape}")
