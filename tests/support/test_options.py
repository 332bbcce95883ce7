"""Options are given as a value, by name, or both; anything else is refused by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from geomoe.errors import GeomoeError, OptionError
from geomoe.support.options import call_options, within


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


@dataclass(frozen=True)
class Typed:
    root: str | os.PathLike[str] | None = None
    step: float = 0.5
    tile: int | None = within(None, at_least=1, at_most=8)
    points: bool = True
    bounds: tuple[float, ...] | None = None
    columns: Mapping[str, str] | None = None
    experts: Unchecked = "all"  # noqa: F821 - a name that only type checkers see


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step", "a", "step: expected a number; got 'a'"),
        ("step", None, "step: expected a number; got None"),
        ("step", True, "step: expected a number; got True"),
        ("tile", 1.5, "tile: expected a whole number or None; got 1.5"),
        ("tile", "8", "tile: expected a whole number or None; got '8'"),
        ("tile", 0, "tile: must be at least 1 and at most 8; got 0"),
        ("tile", 2**63, "tile: must be at least 1 and at most 8; got 9223372036854775808"),
        ("points", "no", "points: expected True or False; got 'no'"),
        ("tile", np.int64(-5), "tile: must be at least 1 and at most 8; got -5"),
        ("bounds", "0 0 1 1", "bounds: expected several values or None; got '0 0 1 1'"),
        ("columns", "lon=x", "columns: expected a mapping or None; got 'lon=x'"),
        ("root", 5, "root: expected text or a path or None; got 5"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name, value, message):
    with pytest.raises(GeomoeError) as caught:
        call_options(Typed, None, {name: value})
    assert str(caught.value) == message
    with pytest.raises(OptionError):
        call_options(Typed, Typed(**{name: value}), {})


def test_values_of_the_right_type_pass():
    good = {"step": np.float32(2), "tile": np.int64(3), "bounds": [0, 1], "root": Path("x"), "experts": 5}
    assert call_options(Typed, None, good) == Typed(**good)
    numpy = {"tile": np.int32(3), "points": np.False_, "bounds": np.array([0.0, 1.0])}
    plain = call_options(Typed, None, numpy)
    assert (plain.tile, plain.points, plain.bounds) == (3, False, [0.0, 1.0])
    assert (type(plain.tile), type(plain.points)) == (int, bool)
    assert call_options(Typed, None, {"step": 1, "root": "x", "columns": {}}).step == 1
