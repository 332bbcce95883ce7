"""The page on the diagnosis names every key of its report, every flag and every number that it states."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from geomoe.diagnose import DiagnosisOptions, alignment, between, flags, layer_values, sweep, values

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "diagnose.md").read_text(encoding="utf-8")
KINDS = [
    one
    for room in (values, layer_values)
    for _, one in inspect.getmembers(room, inspect.isclass)
    if is_dataclass(one) and one.__module__ == room.__name__
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_key(kind):
    assert [one.name for one in fields(kind) if f"`{one.name}`" not in PAGE] == []


def test_every_flag():
    tree = ast.parse(inspect.getsource(flags))
    kinds = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Flag"
    }
    section = PAGE.partition("\n## Red flags\n")[2].partition("\n## ")[0]
    assert kinds == set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))
    assert (flags.COLLAPSED, flags.CONSTANT, flags.ALIKE, flags.UNUSED) == (0.9, 0.01, 0.9, 0.01)
    assert (flags.EXPLAINED, flags.NEAR, flags.CHANCE) == ((0.7, 0.3), 0.03, 0.05)


def test_every_number():
    defaults = DiagnosisOptions()
    assert (defaults.split, defaults.samples, defaults.permutations) == ("val", 5000, 200)
    assert (defaults.km, defaults.alpha, defaults.top_percent) == ((1, 10, 100), 4, 10)
    assert (sweep.IMAGES, sweep.TOKENS) == (512, 8)
    assert (alignment.MOST_SLOTS, alignment.MOST_SAMPLES) == (1000, 128)
    assert len(between.land_points()) == pytest.approx(6000, rel=0.05)
