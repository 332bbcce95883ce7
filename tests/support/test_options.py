"""Options are given as a value, by name, or both; anything else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from geomoe.support.options import call_options


@dataclass(frozen=True)
class Some:
    step: float = 0.5
    points: bool = True


def test_defaults_a_value_names_and_both():
    assert call_options(Some, None, {}) == Some()
    assert call_options(Some, Some(2.0), {}) == Some(2.0)
    assert call_options(Some, None, {"step": 3.0}) == Some(3.0)
    assert call_options(Some, Some(2.0, False), {"step": 3.0}) == Some(3.0, False)


def test_refusals():
    with pytest.raises(TypeError, match=r"expected Some, or its fields by name; got 2\.0"):
        call_options(Some, 2.0, {})
    wrong = r"Some: no option 'stpe'; did you mean step\? \(known: step, points\)"
    with pytest.raises(TypeError, match=wrong):
        call_options(Some, None, {"stpe": 1.0})
