"""Proposition 3.1 and Theorem 3.4: how the optimum of equation 2 changes when domains are added."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from tools.theory.information import (
    ZERO,
    equal_laws,
    information,
    label_information,
    objective,
    pairs,
    penalty,
)
from tools.theory.representations import best_invariant, channels, constraints
from tools.theory.worlds import World, by_label, random_worlds, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

READINGS = ("fixed", "pooled", "averaged")
CHAIN = 4  # domains of the growing example


class Comparison(NamedTuple):
    """How often J rises when a domain is added.

    Attributes:
        compared: representations and nested pairs of domain sets.
        rises: how many of them have J_K' > J_K.
        most: the largest rise in bits; negative or zero: none.
    """

    compared: int
    rises: int
    most: float


def first_term(one: World, channel: NDArray[Any], domains: Sequence[int], reading: str) -> float:
    """I(Z; Y) in one of three readings.

    Args:
        one: the world with all domains.
        channel: the representation.
        domains: K.
        reading: ``fixed``: under P(X, Y) of all domains of the world, whatever K; ``pooled``: under
            P(X, Y | D in K); ``averaged``: the mean over K of the value in each domain, as in equation 1.
    """
    if reading == "fixed":
        return label_information(one.pooled(range(len(one.laws))), channel)
    if reading == "pooled":
        return label_information(one.pooled(domains), channel)
    return float(np.mean([label_information(one.pooled([d]), channel) for d in domains]))


def value(one: World, channel: NDArray[Any], domains: Sequence[int], rate: float, reading: str) -> float:
    """J_K of a representation, in one reading of its first term."""
    cost = sum(penalty(one, channel, i, j) for i, j in pairs(domains))
    return first_term(one, channel, domains, reading) - rate * cost


def optimum(one: World, domains: Sequence[int], rate: float, reading: str) -> float:
    """V_K over all deterministic representations."""
    return max(value(one, channel, domains, rate, reading) for channel in channels(one.laws.shape[1]))


def compare(reading: str, rate: float = 0.5, worlds: int = 40, seed: int = 1) -> Comparison:
    """J_K' - J_K of every deterministic representation in random worlds, for K = first k of 3 domains."""
    rises = []
    for one in random_worlds(worlds, 3, 4, seed=seed):
        for channel in channels(4):
            found = [value(one, channel, range(k), rate, reading) for k in (1, 2, 3)]
            rises += [after - before for before, after in pairwise(found)]
    return Comparison(len(rises), sum(rise > ZERO for rise in rises), max(rises))


def settled_rate(one: World) -> float:
    """The lambda above which the best deterministic representation of two domains is exactly invariant."""
    law, every = one.pooled([0, 1]), channels(one.laws.shape[1])
    cost = {number: penalty(one, channel, 0, 1) for number, channel in enumerate(every)}
    bits = [label_information(law, channel) for channel in every]
    free = max(bits[number] for number in cost if cost[number] < ZERO)
    return max((bits[number] - free) / cost[number] for number in cost if cost[number] >= ZERO)


def label_shift() -> World:
    """X = Y in two domains; label 1 has one tenth in the first and a half in the second."""
    same = [[1, 0], [0, 1]]
    return world([by_label(["9/10", "1/10"], same), by_label(["1/2", "1/2"], same)])


def useless_first() -> World:
    """X is independent of Y in the first domain and determines it in the second; labels are balanced."""
    return world([[[1, 1], [1, 1]], [[1, 0], [0, 1]]])


def breaking_rate(one: World, channel: NDArray[Any]) -> float:
    """The lambda below which adding the second domain raises the pooled J of a representation."""
    gain = first_term(one, channel, [0, 1], "pooled") - first_term(one, channel, [0], "pooled")
    return gain / penalty(one, channel, 0, 1)


def chain() -> World:
    """Four domains with X = (A, B): A is stable, B is less and less informative; the share of label 1 rises.

    A agrees with Y in 3 of 4 cases everywhere. B agrees in 9, 7, 5 and 3 of 10. P(Y = 1) is .1, .3, .5, .7.
    """
    laws = []
    for agree, share in zip((9, 7, 5, 3), (1, 3, 5, 7), strict=True):
        given = [
            [(3 if a == y else 1) * (agree if b == y else 10 - agree) for a in (0, 1) for b in (0, 1)]
            for y in (0, 1)
        ]
        laws.append([[given[y][x] * (share if y else 10 - share) for y in (0, 1)] for x in range(4)])
    return world(laws)


def growing(rates: Sequence[float] = (0.1, 1.0, 10.0)) -> dict[tuple[str, float], list[float]]:
    """V_K of the chain for K = first k domains, by reading and lambda."""
    one = chain()
    return {
        (reading, rate): [optimum(one, range(k), rate, reading) for k in range(1, CHAIN + 1)]
        for reading in READINGS
        for rate in rates
    }


class Invariant(NamedTuple):
    """What exact invariance costs in one world, in bits of I(Z; Y) under the law of all domains.

    Attributes:
        everything: I(X; Y).
        deterministic: the best deterministic invariant representation.
        stochastic: the best of all invariant representations.
    """

    everything: float
    deterministic: float
    stochastic: float


def invariant(one: World) -> Invariant:
    """The three levels, exactly: enumeration for the second, a linear program for the third."""
    every = range(len(one.laws))
    law = one.pooled(every)
    able = [
        label_information(law, channel)
        for channel in channels(one.laws.shape[1])
        if all(equal_laws(one.joint, channel, i, j) is not False for i, j in pairs(every))
    ]
    best = best_invariant(law, constraints(one.joint, every))
    return Invariant(information(law), max(able), best.bits)


def mixing() -> World:
    """Two domains and three inputs; no map of the inputs is invariant, but a stochastic channel is.

    P(x | y) moves by (2, -1, -1) tenths between the domains, so a column (q0, q1, q2) has to have
    2 q0 = q1 + q2: input 0 goes half to either value.
    """
    first = [["4/10", "1/10", "5/10"], ["5/10", "4/10", "1/10"]]
    second = [["2/10", "2/10", "6/10"], ["3/10", "5/10", "2/10"]]
    return world([by_label(["1/2", "1/2"], given) for given in (first, second)])


def above(one: World, rate: float) -> tuple[float, float]:
    """Search for representations that are not invariant and have a larger J than every invariant one.

    Args:
        one: two domains.
        rate: lambda.

    Returns:
        J of the best deterministic representation, and the largest J that a local search over channels with
        two values of Z finds from the best invariant one (a lower bound of V).
    """
    law, width = one.pooled([0, 1]), one.laws.shape[1]
    best = best_invariant(law, constraints(one.joint, [0, 1]))
    start = best.channel[:, 0]

    def loss(column: NDArray[np.float64]) -> float:
        channel = np.stack([column, 1 - column], axis=1)
        return -objective(one, channel, [0, 1], rate, law)

    found = minimize(loss, start, method="L-BFGS-B", bounds=[(0, 1)] * width, options={"ftol": 1e-14})
    certain = max(objective(one, channel, [0, 1], rate, law) for channel in channels(width))
    return certain, max(-float(found.fun), -loss(start))
