"""All deterministic representations of a small alphabet, and the best of all stochastic ones.

An invariant representation is a channel P(z | x) whose columns q lie in the cone {q >= 0, A q = 0}: A has
a row P(x | y, i) - P(x | y, j) for every label and pair of domains. I(Z; Y) is a sum over columns of a
function of q that is convex and homogeneous of degree 1, so it never falls when a column is cut into extreme
rays of the cone. The optimum over stochastic channels of any size is therefore a linear program over the
weights of the rays, whose sum has to be the vector of ones.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import linprog

from tools.theory.information import pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class Best(NamedTuple):
    """An optimal invariant representation.

    Attributes:
        bits: its I(Z; Y).
        channel: (X, Z) float64.
    """

    bits: float
    channel: NDArray[np.float64]


def partitions(count: int) -> Iterator[tuple[int, ...]]:
    """Every deterministic map of ``count`` inputs, once: the value of each input, whatever its name."""

    def longer(start: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(start) == count:
            yield start
            return
        for value in range(max(start, default=-1) + 2):
            yield from longer((*start, value))

    yield from longer(())


def channel_of(groups: Sequence[int]) -> NDArray[Any]:
    """(X, Z) of zeros and ones, as whole numbers."""
    values = np.array(groups)
    return (values[:, None] == np.arange(values.max() + 1)).astype(int).astype(object)


def channels(count: int) -> list[NDArray[Any]]:
    """Every deterministic representation of ``count`` inputs."""
    return [channel_of(groups) for groups in partitions(count)]


def constraints(joint: NDArray[Any], domains: Sequence[int]) -> NDArray[Any]:
    """(R, X): A, with A q = 0 for each column q of an invariant channel; absent labels are free."""
    mass = joint.sum(axis=1)  # (D, Y)
    rows = [
        joint[i, :, y] / mass[i, y] - joint[j, :, y] / mass[j, y]
        for i, j in pairs(domains)
        for y in range(joint.shape[2])
        if mass[i, y] and mass[j, y]
    ]
    return np.array(rows, dtype=object).reshape(len(rows), joint.shape[1])


def extreme_rays(matrix: NDArray[Any]) -> list[NDArray[Any]]:
    """Extreme rays of {q >= 0, A q = 0}, in fractions, largest entry 1: those of minimal support.

    Args:
        matrix: A, (R, X) fractions.
    """
    width = matrix.shape[1]
    found: list[NDArray[Any]] = []
    supports: list[set[int]] = []
    for size in range(1, width + 1):
        for columns in combinations(range(width), size):
            if any(support <= set(columns) for support in supports):
                continue
            null = _null_vector(matrix[:, columns])
            if null is None or any(value == 0 for value in null) or min(null) * max(null) < 0:
                continue
            ray = np.array([Fraction(0)] * width, dtype=object)
            ray[list(columns)] = null
            found.append(ray / max(null, key=abs))
            supports.append(set(columns))
    return found


def best_invariant(law: NDArray[Any], matrix: NDArray[Any]) -> Best:
    """The largest I(Z; Y) of all stochastic channels, of any size, that satisfy A q = 0 in each column.

    Args:
        law: (X, Y), the distribution that I(Z; Y) is measured under.
        matrix: A, (R, X) of :func:`constraints`.

    Raises:
        RuntimeError: the solver does not end at an optimum.
    """
    rays = extreme_rays(matrix)
    columns = np.array(rays, dtype=float).T  # (X, rays)
    gain = np.array([_gain(np.asarray(law, dtype=float), column) for column in columns.T])
    answer = linprog(-gain, A_eq=columns, b_eq=np.ones(len(columns)), method="highs")
    if not answer.success:
        raise RuntimeError(f"linear program: {answer.message}")
    used = answer.x > 1e-12
    return Best(float(gain @ answer.x), columns[:, used] * answer.x[used])


def _gain(law: NDArray[np.float64], column: NDArray[np.float64]) -> float:
    """The part of I(Z; Y) that one column of a channel adds."""
    both = column @ law  # P(z, y)
    alone = both.sum() * law.sum(axis=0)
    some = both > 0
    return float((both[some] * np.log2(both[some] / alone[some])).sum())


def _null_vector(matrix: NDArray[Any]) -> list[Fraction] | None:
    """The vector that spans the null space of a matrix of fractions; None: it is not a line."""
    rows, width = [list(row) for row in matrix], matrix.shape[1]
    pivots: list[int] = []
    for column in range(width):
        top = len(pivots)
        row = next((r for r in range(top, len(rows)) if rows[r][column] != 0), None)
        if row is None:
            continue
        rows[top], rows[row] = rows[row], rows[top]
        rows[top] = [value / rows[top][column] for value in rows[top]]
        for other in range(len(rows)):
            factor = rows[other][column]
            if other != top and factor != 0:
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[top], strict=True)]
        pivots.append(column)
    free = [column for column in range(width) if column not in pivots]
    if len(free) != 1:
        return None
    null = [Fraction(0)] * width
    null[free[0]] = Fraction(1)
    for row, column in enumerate(pivots):
        null[column] = -rows[row][free[0]]
    return null
