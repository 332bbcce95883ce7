"""Information in bits, from complete tables; whether laws are equal is decided in fractions."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tools.theory.worlds import World

ZERO = 1e-12  # bits; float64 leaves about 1e-16


def information(table: NDArray[Any]) -> float:
    """I(A; B) in bits of a joint table (A, B); it is normalised first."""
    joint = np.asarray(table, dtype=float)
    joint = joint / joint.sum()
    alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / alone[some])).sum())


def conditional_information(table: NDArray[Any]) -> float:
    """I(A; B | C) in bits of a joint table (A, C, B); it is normalised first."""
    joint = np.asarray(table, dtype=float)
    parts = [joint[:, c] for c in range(joint.shape[1]) if joint[:, c].sum() > 0]
    return float(sum(part.sum() * information(part) for part in parts) / joint.sum())


def seen(joint: NDArray[Any], channel: NDArray[Any]) -> NDArray[Any]:
    """(D, Y, Z): P(d, y, z) of a joint (D, X, Y) after a channel (X, Z), P(z | x)."""
    return np.tensordot(joint, channel, axes=(1, 0))


def label_information(law: NDArray[Any], channel: NDArray[Any]) -> float:
    """I(Z; Y) in bits under one law (X, Y)."""
    return information(np.tensordot(law.astype(float), channel.astype(float), axes=(0, 0)))


def pairs(domains: Iterable[int]) -> list[tuple[int, int]]:
    """P(K): every pair i < j."""
    return list(combinations(sorted(domains), 2))


def penalty(world: World, channel: NDArray[Any], i: int, j: int) -> float:
    """I(Z; D | Y, D in {i, j}) in bits, one term of equation 2."""
    return conditional_information(seen(world.rounded[[i, j]], channel.astype(float)))


def equal_laws(joint: NDArray[Any], channel: NDArray[Any], i: int, j: int) -> bool | None:
    """Whether P(Z | y, i) = P(Z | y, j) for every y; exact if the tables are fractions.

    Args:
        joint: (D, X, Y), not necessarily normalised.
        channel: (X, Z).
        i: one domain.
        j: another.

    Returns:
        None where no y is unequal, but some y is absent from one of both, so that a law is undefined.
    """
    table = seen(joint[[i, j]], channel)  # (2, Y, Z)
    mass = table.sum(axis=2)
    shared = [y for y in range(mass.shape[1]) if mass[0, y] and mass[1, y]]
    if any((table[0, y] * mass[1, y] != table[1, y] * mass[0, y]).any() for y in shared):
        return False
    lonely = [y for y in range(mass.shape[1]) if bool(mass[0, y]) != bool(mass[1, y])]
    return None if lonely else True


def objective(
    world: World, channel: NDArray[Any], domains: Sequence[int], rate: float, law: NDArray[Any]
) -> float:
    """J_K of equation 2, with I(Z; Y) taken under ``law`` (X, Y).

    Args:
        world: the domains.
        channel: the representation, (X, Z).
        domains: K.
        rate: lambda.
        law: the distribution of (X, Y) that the first term is measured under.
    """
    cost = sum(penalty(world, channel, i, j) for i, j in pairs(domains))
    return label_information(law, channel) - rate * cost
