"""Options are given as a value, by name, or both; anything else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from geomoe.support.options import options_of


@dataclass(frozen=True)
class Some:
    step: float = 0.5
    points: bool = True


def test_defaults_a_value_names_and_both():
    assert options_of(Some, None, {}) == Some()
    assert options_of(Some, Some(2.0), {}) == Some(2.0)
    assert options_of(Some, None, {"step": 3.0}) == Some(3.0)
    assert options_of(Some, Some(2.0, False), {"step": 3.0}) == Some(3.0, False)


def test_refusals():
    with pytest.raises(TypeError, match=r"expected Some, or its fields by name; got 2\.0"):
        options_of(Some, 2.0, {})
    wrong = r"Some: no option 'stpe'; did you mean step\? \(known: step, points\)"
    with pytest.raises(TypeError, match=wrong):
        options_of(Some, None, {"stpe": 1.0})
