"""Convert arrays to the plain values of a report; values that are not finite become None."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.diagnose.layer_values import Matrix, Row


def number(value: float | None) -> float | None:
    """A number, or None if it is not finite."""
    return float(value) if value is not None and np.isfinite(value) else None


def row(values: NDArray[np.floating]) -> Row:
    """The numbers of a vector."""
    return tuple(number(value) for value in values.tolist())


def matrix(values: NDArray[np.floating]) -> Matrix:
    """The rows of a matrix."""
    return tuple(row(line) for line in values)
