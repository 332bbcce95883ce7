"""Propositions on invariance: 3.2, 3.3, Lemma 3.6 and its corollary."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tools.theory.information import ZERO, conditional_information, equal_laws, pairs, penalty, seen
from tools.theory.representations import channel_of, channels
from tools.theory.worlds import World, by_label, random_worlds, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Agreement(NamedTuple):
    """How often a statement of the form "information is 0 if and only if laws are equal" is true.

    Attributes:
        both: both sides hold.
        neither: neither holds.
        undefined: the information is 0, but a law of the other side is not defined because a label is absent.
        wrong: one side holds and the other does not.
    """

    both: int
    neither: int
    undefined: int
    wrong: int


def _tally(zeros: list[tuple[bool, bool | None]]) -> Agreement:
    kinds = Counter(
        "undefined" if zero and equal is None
        else "both" if zero and equal
        else "neither" if not zero and equal is False
        else "wrong"
        for zero, equal in zeros
    )  # fmt: skip
    return Agreement(*(kinds[kind] for kind in Agreement._fields))


def proposition_32(worlds: int = 40, seed: int = 2, least: int = 0) -> Agreement:
    """Each pair of domains and each deterministic representation that is not constant, in random worlds.

    Args:
        worlds: number of worlds, of 3 domains and 4 inputs.
        seed: seed of the random worlds.
        least: 1: every label occurs in every domain.
    """
    return _tally(
        [
            (penalty(one, channel, i, j) < ZERO, equal_laws(one.joint, channel, i, j))
            for one in random_worlds(worlds, 3, 4, seed=seed, least=least)
            for channel in channels(4)[1:]
            for i, j in pairs(range(3))
        ]
    )


def missing_label() -> World:
    """X is Y together with an independent coin; the second domain has no label 1."""
    return world([[[1, 0], [1, 0], [0, 2], [0, 2]], [[1, 0], [1, 0], [0, 0], [0, 0]]])


def theorem_33(worlds: int = 120, seed: int = 3) -> Counter[tuple[bool, bool]]:
    """(every pair's term is 0, I(Z; D | Y) is 0) of deterministic representations in random worlds."""
    found: Counter[tuple[bool, bool]] = Counter()
    for one in random_worlds(worlds, 3, 3, seed=seed, most=1):
        for channel in channels(3)[1:]:
            every = all(penalty(one, channel, i, j) < ZERO for i, j in pairs(range(3)))
            found[every, conditional_information(seen(one.joint, channel)) < ZERO] += 1
    return found


def chains(worlds: int = 60, seed: int = 3) -> set[tuple[float, float, float]]:
    """(all pairs, a chain of them, I(Z; D | Y)) in bits, rounded to 1/1000, of the same representations.

    Terms of pairs are summed; the chain is (1, 2), (2, 3). A number above 0 that would be rounded to 0 is
    1/1000.
    """
    found = set()
    for one in [broken_chain(), *random_worlds(worlds, 3, 3, seed=seed, most=1)]:
        for channel in channels(one.joint.shape[1])[1:]:
            first, both, second = (penalty(one, channel, i, j) for i, j in pairs(range(3)))
            whole = conditional_information(seen(one.joint, channel))
            bits = first + both + second, first + second, whole
            found.add(tuple(rounded(value) for value in bits))
    return found


def rounded(bits: float) -> float:
    """Bits rounded to 1/1000; only 0 itself is rounded to 0."""
    return 0.0 if bits < ZERO else max(round(bits, 3), 0.001)


def broken_chain() -> World:
    """Three domains; label 1 is absent from the second, and the first and the third differ in its law."""
    given = ([[1, 1], [3, 1]], [[1, 1], [0, 0]], [[1, 1], [1, 3]])
    return world([np.array(rows).T.tolist() for rows in given])


def routed(one: World, router: NDArray[Any]) -> NDArray[Any]:
    """(D, X, Y): P(d, x, y, S = m), not normalised.

    Args:
        one: the domains.
        router: P(S = m | d, x, y), of a shape that broadcasts to (D, X, Y).
    """
    return one.joint * router


def subset_information(joint: NDArray[Any], channel: NDArray[Any]) -> float:
    """I(Z; D | Y, S = m) in bits, from :func:`routed`."""
    return conditional_information(seen(joint.astype(float), channel.astype(float)))


def subset_equal(joint: NDArray[Any], channel: NDArray[Any]) -> bool | None:
    """Whether P(Z | Y, D = i, S = m) is the same for all domains of the subset; None: some are undefined."""
    alive = [d for d in range(len(joint)) if joint[d].sum()]
    found = [equal_laws(joint, channel, i, j) for i, j in pairs(alive)]
    if False in found:
        return False
    return None if None in found else True


def routers(inputs: int) -> list[NDArray[Any]]:
    """Every deterministic router of two subsets, S = r(X), as indicators of S = 1, shape (1, X, 1)."""
    return [
        np.array(chosen, dtype=object).reshape(1, -1, 1)
        for chosen in product((0, 1), repeat=inputs)
        if any(chosen)
    ]


def lemma_36(worlds: int = 8, seed: int = 4) -> Agreement:
    """Each router S = r(X) and each deterministic representation that is not constant, in random worlds."""
    found = []
    for one in random_worlds(worlds, 3, 4, seed=seed):
        for router in routers(4):
            joint = routed(one, router)
            if joint.sum():
                found += [
                    (subset_information(joint, channel) < ZERO, subset_equal(joint, channel))
                    for channel in channels(4)[1:]
                ]
    return _tally(found)


def subset_points(worlds: int = 8, seed: int = 4) -> set[tuple[float, float, bool]]:
    """The cases of :func:`lemma_36`, as numbers rounded to 1/1000.

    Returns:
        (largest total variation of P(Z | y, D = i, S = m) and P(Z | y, D = j, S = m), I(Z; D | Y, S = m) in
        bits, whether a domain of the subset lacks a label); labels that a domain lacks have no distance.
    """
    found = set()
    for one in random_worlds(worlds, 3, 4, seed=seed):
        for router in routers(4):
            joint = routed(one, router)
            alive = [d for d in range(len(joint)) if joint[d].sum()]
            for channel in channels(4)[1:] if len(alive) > 1 else []:
                lacking = subset_equal(joint, channel) is None
                apart = max(_distance(joint, channel, i, j) for i, j in pairs(alive))
                bits = subset_information(joint, channel)
                found.add((rounded(apart), rounded(bits), lacking))
    return found


def _distance(joint: NDArray[Any], channel: NDArray[Any], i: int, j: int) -> float:
    """The largest total variation of P(Z | y, i) and P(Z | y, j) over the labels that both have."""
    table = seen(joint[[i, j]], channel).astype(float)
    mass = table.sum(axis=2)
    common = (mass > 0).all(axis=0)
    laws = table[:, common] / mass[:, common, None]
    return float(np.abs(laws[0] - laws[1]).sum(axis=1).max(initial=0) / 2)


class Cells(NamedTuple):
    """Whether whole cells (class, domain) are aligned, against invariance within the subset.

    Attributes:
        both: both.
        only_cells: P(Z | Y, D) agrees and I(Z; D | Y, S = m) > 0.
        only_subset: the other way round.
        neither: neither.
    """

    both: int
    only_cells: int
    only_subset: int
    neither: int


def corollary_37(by_domain: bool, worlds: int = 30, seed: int = 5) -> Cells:
    """How alignment of P(Z | Y, D), as in a minibatch, is related to invariance given S = m.

    Args:
        by_domain: S is a function of the domain; otherwise of the input.
        worlds: number of worlds, of 3 domains and 3 inputs with every label in every domain.
        seed: seed of the random worlds.
    """
    found: Counter[tuple[bool, bool]] = Counter()
    for one in random_worlds(worlds, 3, 3, seed=seed, least=1):
        choices: Sequence[NDArray[Any]] = (
            [router.reshape(-1, 1, 1) for router in routers(3)] if by_domain else routers(3)
        )
        for router in choices:
            joint = routed(one, router)
            alive = [d for d in range(3) if joint[d].sum()]
            if len(alive) < 2:
                continue
            for channel in channels(3)[1:]:
                cells = all(equal_laws(one.joint, channel, i, j) for i, j in pairs(alive))
                found[cells, subset_information(joint, channel) < ZERO] += 1
    return Cells(found[True, True], found[True, False], found[False, True], found[False, False])


def coins() -> tuple[World, NDArray[Any]]:
    """X = (A, B), Z = A, fair in both domains; B is fair in the first, and equals A in 9 of 10 in the second.

    Y is independent of X, so that only the routing can make a difference.
    """
    first, second = ["1/4"] * 4, ["9/20", "1/20", "1/20", "9/20"]
    one = world([by_label(["1/2", "1/2"], [law, law]) for law in (first, second)])
    return one, channel_of([0, 0, 1, 1])


def misled_routers() -> tuple[int, int]:
    """Number of all routers S = r(X) of :func:`coins`, and of those with I(A; D | Y, S = 1) > 0.

    P(A | Y, D) is the same in both domains under each of them.
    """
    one, channel = coins()
    found = [subset_information(routed(one, router), channel) > ZERO for router in routers(4)]
    return len(found), sum(found)


def routed_coins(strength: float) -> float:
    """I(A; D | Y, S = 1) in bits of :func:`coins` where P(S = 1 | x) is (1 - t) / 2 + t [A or B].

    Args:
        strength: t, 0 (the router does not look at x) to 1.
    """
    one, channel = coins()
    either = np.array([0, 1, 1, 1]).reshape(1, -1, 1)
    return subset_information(routed(one, (1 - strength) / 2 + strength * either), channel)
