"""Dataclasses come back from plain values as they were, and anything else is refused with its place."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from geomoe.errors import InputError
from geomoe.support.plain import from_plain, shown, to_plain


@dataclass(frozen=True)
class Leaf:
    count: int
    share: float | None


@dataclass(frozen=True)
class Tree:
    name: str
    kind: Literal["oak", "fir"]
    sound: bool
    who: str | int
    ends: tuple[float, float]
    leaves: tuple[Leaf, ...]
    by_name: dict[str, Leaf]
    extra: dict[str, int] = field(default_factory=dict)


TREE = Tree(
    "a", "fir", True, 3, (0.5, 1.0), (Leaf(1, None), Leaf(2, 0.25)), {"x": Leaf(3, 1e-300)}, {"k": -1}
)


def test_there_and_back():
    text = json.dumps(to_plain(TREE))
    assert from_plain(Tree, json.loads(text)) == TREE
    assert to_plain(TREE)["leaves"] == [{"count": 1, "share": None}, {"count": 2, "share": 0.25}]


def test_missing_with_a_default_and_keys_that_are_not_known():
    data = to_plain(TREE)
    del data["extra"]
    assert from_plain(Tree, {**data, "later": [1]}).extra == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "name: expected a string; got null"),
        ({"name": "\ud800"}, r"name: expected text; got '\ud800'"),
        ({"kind": "elm"}, "kind: expected oak or fir; got 'elm'"),
        ({"sound": 1}, "sound: expected true or false; got 1"),
        ({"who": True}, "who: expected a string or a whole number; got true"),
        ({"who": 1.5}, "who: expected a string or a whole number; got 1.5"),
        ({"ends": [1.0]}, "ends: expected a list of 2; got a list of 1"),
        ({"ends": [1.0, float("nan")]}, "ends.1: expected a finite number; got nan"),
        ({"extra": {"k": 2**63}}, "extra.k: expected a whole number of 64 bits; got a huge number"),
        ({"ends": [10**400, 1.0]}, "ends.0: expected a number; got a huge number"),
        ({"leaves": {}}, "leaves: expected a list; got an object"),
        ({"leaves": [{"count": "x", "share": 1}]}, "leaves.0.count: expected a whole number; got 'x'"),
        ({"leaves": [{"count": True, "share": 1}]}, "leaves.0.count: expected a whole number; got true"),
        ({"leaves": [{"count": 1}]}, "leaves.0.share: is missing"),
        ({"by_name": {"x": []}}, "by_name.x: expected an object; got a list of 0"),
        ({"extra": {"k": 1.0}}, "extra.k: expected a whole number; got 1.0"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(InputError) as caught:
        from_plain(Tree, {**to_plain(TREE), **change})
    assert str(caught.value) == message
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_numbers_and_the_whole_must_be_an_object():
    assert repr(from_plain(Leaf, {"count": 1, "share": 1})) == "Leaf(count=1, share=1.0)"
    with pytest.raises(InputError, match="the whole: expected an object; got null"):
        from_plain(Leaf, None)


def test_a_value_is_shown_in_a_few_words():
    assert shown("x" * 1000) == "'" + "x" * 39 + " ..."
    assert len(shown("\n\x1b" * 1000)) < 100
    assert "\x1b" not in shown("\n\x1b" * 1000)
