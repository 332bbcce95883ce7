"""Discrete worlds: a joint distribution of domain, input and label, in exact fractions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class World:
    """Domains with a law of (X, Y) each.

    Attributes:
        laws: (D, X, Y) fractions, P(x, y | d); each domain sums to 1.
        weights: (D,) fractions, P(d).
    """

    laws: NDArray[Any]
    weights: NDArray[Any]

    def __post_init__(self) -> None:
        if any(total != 1 for total in [*self.laws.sum(axis=(1, 2)), self.weights.sum()]):
            raise ValueError("the law of each domain, and the weights, must sum to 1")

    @cached_property
    def joint(self) -> NDArray[Any]:
        """(D, X, Y) fractions, P(d, x, y)."""
        return self.laws * self.weights[:, None, None]

    @cached_property
    def rounded(self) -> NDArray[np.float64]:
        """(D, X, Y): the joint distribution in floating point, for logarithms."""
        return self.joint.astype(float)

    def pooled(self, domains: Sequence[int]) -> NDArray[Any]:
        """(X, Y): P(x, y | d in ``domains``)."""
        chosen = self.joint[list(domains)].sum(axis=0)
        return chosen / chosen.sum()


def world(laws: Sequence[Any], weights: Sequence[Any] | None = None) -> World:
    """A world from nested lists (D, X, Y) of whole numbers or fractions; each domain is normalised.

    Args:
        laws: weights of (x, y) in each domain, in proportion.
        weights: P(d), in proportion; None: the same for all domains.
    """
    table = exact(laws)
    many = exact([1] * len(table) if weights is None else weights)
    return World(table / table.sum(axis=(1, 2), keepdims=True), many / many.sum())


def exact(values: Any) -> NDArray[Any]:  # noqa: ANN401 - nested lists of numbers
    """An array of fractions; text such as ``9/10`` and whole numbers are exact."""
    array = np.array(values, dtype=object)
    return np.vectorize(Fraction, otypes=[object])(array)


def by_label(prior: Sequence[Any], given: Sequence[Any]) -> NDArray[Any]:
    """(X, Y) from P(y) and P(x | y), the latter as (Y, X)."""
    return exact(prior)[None, :] * exact(given).T


def random_worlds(
    count: int, domains: int, inputs: int, seed: int = 0, most: int = 2, least: int = 0
) -> Iterator[World]:
    """Worlds with two labels and small whole weights, so that exact ties between domains do occur.

    Args:
        count: number of worlds.
        domains: D.
        inputs: size of the alphabet of X.
        seed: seed of the random worlds.
        most: largest weight of an (x, y).
        least: smallest weight; 1: every label occurs in every domain.
    """
    draw = random.Random(seed)
    while count:
        laws = [
            [[draw.randint(least, most) for _ in range(2)] for _ in range(inputs)] for _ in range(domains)
        ]
        if all(sum(map(sum, law)) for law in laws):
            yield world(laws)
            count -= 1
