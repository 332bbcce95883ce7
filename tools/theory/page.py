"""Compute the tables of docs/theory.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tools.theory import growth, invariance, subsets
from tools.theory.information import conditional_information, information, pairs, penalty, seen
from tools.theory.representations import channel_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def filled(text: str) -> str:
    """The page with its tables as they are now.

    Raises:
        ValueError: the page lacks the marks of a table.
    """
    for name, make in TABLES.items():
        first, last = marks(name)
        count = len(re.findall(f"{re.escape(first)}.*?{re.escape(last)}", text, flags=re.DOTALL))
        if count != 1:
            raise ValueError(f"{name}: expected the marks {first} and {last} once; found {count}")
        before, after = text.partition(first)[0], text.partition(last)[2]
        text = f"{before}{first}\n\n{make()}\n\n{last}{after}"
    return text


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a table."""
    return f"<!-- {name}: begin (written by tools.theory) -->", f"<!-- {name}: end -->"


def readings() -> str:
    """Proposition 3.1 in three readings: rises in random worlds, and two worlds by hand."""
    shift, useless, same = growth.label_shift(), growth.useless_first(), channel_of([0, 1])
    rows = []
    for reading in growth.READINGS:
        found = growth.compare(reading)
        by_hand = [
            f"{growth.value(one, same, [0], rate, reading):.4f} to "
            f"{growth.value(one, same, [0, 1], rate, reading):.4f}"
            for one, rate in ((shift, 100), (useless, 0.5))
        ]
        rows.append((reading, f"{found.rises} of {found.compared}", *by_hand))
    return table(
        ("I(Z; Y) is", "rises of J", "label shift, lambda 100", "useless first domain, lambda 0.5"), rows
    )


def optima() -> str:
    """V_K of the chain."""
    found = growth.growing()
    rows = [(name, f"{rate:g}", *map(number, values)) for (name, rate), values in found.items()]
    return table(("I(Z; Y) is", "lambda", "K = 1", "K = 2", "K = 3", "K = 4"), rows)


def equivalences() -> str:
    """Proposition 3.2 and Lemma 3.6 over complete enumerations."""
    rows = [
        ("3.2, every label in every domain", *invariance.proposition_32(least=1)),
        ("3.2, labels may be absent", *invariance.proposition_32()),
        ("Lemma 3.6, S = r(X), labels may be absent", *invariance.lemma_36()),
    ]
    return table(("statement", "both", "neither", "0 bits, a law undefined", "contradictions"), rows)


def broken() -> str:
    """A chain of pairs whose terms are 0 although the sum over all pairs is not."""
    one, channel = invariance.broken_chain(), channel_of([0, 1])
    terms = {f"pair {i + 1}, {j + 1}": penalty(one, channel, i, j) for i, j in pairs(range(3))}
    terms["all three, I(Z; D given Y)"] = conditional_information(seen(one.joint, channel))
    return table(("term", "bits"), [(name, number(bits)) for name, bits in terms.items()])


def thresholds() -> str:
    """Theorem 3.4: where the optimum is invariant."""
    one = growth.mixing()
    levels = growth.invariant(one)
    rows = []
    for rate in (1, 10, 30, 100, 1000):
        sure, lower = growth.above(one, rate)
        rows.append((f"{rate}", number(sure), f"{lower:.6f}", f"{lower - levels.stochastic:.6f}"))
    head = ("lambda", "V, deterministic", "V, stochastic, at least", "above the best invariant one")
    return table(head, rows)


def cells() -> str:
    """Corollary 3.7: whole cells against subsets."""
    rows = [
        ("S is a function of D", *invariance.corollary_37(by_domain=True)),
        ("S is a function of X", *invariance.corollary_37(by_domain=False)),
    ]
    return table(("router", "both", "cells alone", "subset alone", "neither"), rows)


def access() -> str:
    """Theorem 3.8 with and without S."""
    rows = []
    for second in ("1", "4/5"):
        for hint in ("1/2", "3/4", "1"):
            rows.append((hint, second, *map(number, subsets.levels(subsets.two_subsets(hint, second)))))
    head = (
        "P(W = S)",
        "P(X2 = Y) in subset 2",
        "S given",
        "S guessed",
        "I(X; Y)",
        "global invariance",
    )
    return table(head, rows)


def premise() -> str:
    """A subset that meets the premise of Theorem 3.8 and keeps nothing."""
    one = subsets.same_concept()
    rows = [
        ("I(X; Y) in either domain", number(information(one.pooled([0])))),
        ("I(X; Y) of both", number(information(one.pooled([0, 1])))),
        ("best Z with I(Z; D given Y) = 0", number(subsets.within(one, [0, 1]))),
    ]
    return table(("quantity", "bits"), rows)


def number(bits: float) -> str:
    """A number of bits with four digits; rounding errors become 0."""
    return f"{bits if abs(bits) > 5e-5 else 0:.4f}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


TABLES = {
    "readings": readings,
    "optima": optima,
    "equivalences": equivalences,
    "broken": broken,
    "thresholds": thresholds,
    "cells": cells,
    "access": access,
    "premise": premise,
}
