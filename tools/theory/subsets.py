"""Theorem 3.8: what subsets of domains preserve, with and without access to S."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tools.theory.information import information, label_information
from tools.theory.representations import best_invariant, channel_of, constraints
from tools.theory.worlds import World, by_label, world

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBSETS = ((0, 1), (2, 3))


class Levels(NamedTuple):
    """Bits about Y, per sample, of the best representations of each kind.

    Attributes:
        given: subset-conditioned, S known when it predicts: sum_m P(S = m) I(Z^(m); Y | S = m).
        routed: X_1 or X_2, chosen by the hint in X; S is not known.
        everything: I(X; Y), which nothing that is computed from X alone can exceed.
        invariant: the best of all representations with I(Z; D | Y) = 0 over the four domains.
    """

    given: float
    routed: float
    everything: float
    invariant: float


def two_subsets(hint: Fraction | str | int = "1/2", second: Fraction | str | int = 1) -> World:
    """The example of Appendix A.7 with a hint: X = (X_1, X_2, W), four domains in two subsets.

    X_1 = Y in the first subset, where X_2 is a fair coin; the other way round in the second.

    Args:
        hint: P(W = S), 1/2 (no hint, the paper's example) to 1 (W tells S).
        second: P(X_2 = Y) in the second subset; 1 in the paper's example.
    """
    told, right = Fraction(hint), Fraction(second)
    laws = []
    for subset in (0, 0, 1, 1):
        given = [[_chance(x, y, subset, told, right) for x in _inputs()] for y in (0, 1)]
        laws.append(by_label(["1/2", "1/2"], given))
    return world(laws)


def levels(one: World, subsets: Sequence[Sequence[int]] = SUBSETS) -> Levels:
    """The four levels of one world, exactly."""
    every = [d for subset in subsets for d in subset]
    law = one.pooled(every)
    route = [(x[1] if x[2] else x[0]) for x in _inputs()]
    return Levels(
        given=sum(float(one.weights[list(s)].sum()) * within(one, s) for s in subsets),
        routed=label_information(law, channel_of(route)),
        everything=information(law),
        invariant=best_invariant(law, constraints(one.joint, every)).bits,
    )


def within(one: World, subset: Sequence[int]) -> float:
    """The largest I(Z; Y | S = m) of all representations with I(Z; D | Y, S = m) = 0."""
    return best_invariant(one.pooled(subset), constraints(one.joint, subset)).bits


def hinted(second: Fraction | str | int, steps: int = 10) -> list[tuple[float, Levels]]:
    """(P(W = S), levels), from no hint to a hint that reveals S."""
    shares = [Fraction(1, 2) + Fraction(step, 2 * steps) for step in range(steps + 1)]
    return [(float(share), levels(two_subsets(share, second))) for share in shares]


def same_concept() -> World:
    """One subset of two domains with the same P(Y | X) and different P(X): the premise of Theorem 3.8.

    P(Y = 1 | x) is 1, 5 and 9 of 10; P(x) is (6, 3, 1) tenths and (1, 3, 6) tenths.
    """
    given = np.array([[9, 1], [5, 5], [1, 9]])
    return world([(given * np.array(marginal)[:, None]).tolist() for marginal in ([6, 3, 1], [1, 3, 6])])


def _inputs() -> list[tuple[int, int, int]]:
    return [(a, b, w) for a in (0, 1) for b in (0, 1) for w in (0, 1)]


def _chance(x: tuple[int, int, int], y: int, subset: int, told: Fraction, right: Fraction) -> Any:  # noqa: ANN401
    """P(x | y) in a domain of a subset."""
    share = (Fraction(1), right)[subset]
    feature = share if x[subset] == y else 1 - share
    return feature * Fraction(1, 2) * (told if x[2] == subset else 1 - told)
