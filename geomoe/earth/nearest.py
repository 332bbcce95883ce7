"""The nearest of many places on the sphere, exactly, without looking at every pair.

Both sets of places are halved along their widest axis until few are left together: a ball of neighbours.
The balls of the others are looked at from the nearest on, and those are left out that cannot hold a nearer
place than the ones found. Places are points in space, so the antimeridian and the poles are nowhere special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import great_circle_km, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BALL = 64  # places that are kept together
AT_ONCE = 8  # balls whose places are compared in one go
SLACK = 1e-12  # of the Earth's radius: more than the rounding of distances, 6 micrometres


def nearest_km(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) great-circle distance in km from each of ``points`` to the nearest of ``others``.

    Args:
        points: (N, 2) lonlat degrees, no NaN.
        others: (M, 2) the same, at least one.
    """
    return great_circle_km(points, others[nearest(points, others)])


def nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) which of ``others`` is the nearest to each of ``points``; arguments as for :func:`nearest_km`."""
    a, b = unit_vectors(points), unit_vectors(others)
    balls = list(_balls(b))
    middles, radii = _hulls(b, balls)
    found = np.empty(len(a), dtype=np.int64)
    for own in _balls(a):
        (middle,), (radius,) = _hulls(a, [own])
        least = np.linalg.norm(middles - middle, axis=1) - radii - radius - SLACK
        order = np.argsort(least)
        best, which = np.full(len(own), np.inf), np.zeros(len(own), dtype=np.int64)
        for start in range(0, len(order), AT_ONCE):
            if least[order[start]] > best.max():
                break
            part = np.concatenate([balls[number] for number in order[start : start + AT_ONCE]])
            x, y, z = (a[own, None, axis] - b[part, axis] for axis in range(3))
            square = x * x + y * y + z * z
            chosen = square.argmin(axis=1)
            chord = np.sqrt(square[np.arange(len(own)), chosen])
            which = np.where(chord < best, part[chosen], which)
            best = np.minimum(chord, best)
        found[own] = which
    return found


def _balls(vectors: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Rows of neighbours, at most BALL of them together."""
    waiting = [np.arange(len(vectors))] if len(vectors) else []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= BALL:
            yield rows
            continue
        part = vectors[rows]
        axis = np.ptp(part, axis=0).argmax()
        order = np.argpartition(part[:, axis], len(rows) // 2)
        waiting += [rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]]


def _hulls(
    vectors: NDArray[np.float64], balls: list[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, 3) a middle and (K,) the radius about it of each."""
    middles = np.stack([vectors[rows].mean(axis=0) for rows in balls])
    reach = [np.linalg.norm(vectors[rows] - one, axis=1) for rows, one in zip(balls, middles, strict=True)]
    return middles, np.array([one.max() for one in reach])
