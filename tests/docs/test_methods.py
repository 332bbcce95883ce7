"""docs/methods.md has every method and every option, as the code has them."""

from __future__ import annotations

import dataclasses

import pytest

from geomoe.algorithms import method_class
from geomoe.catalogue import METHODS
from tools import describe_methods

PAGE = describe_methods.PAGE.read_text(encoding="utf-8")
OPTIONS = PAGE.partition(describe_methods.marks("options")[0])[2].splitlines()


def test_the_tables_are_those_of_the_code():
    assert describe_methods.filled(PAGE) == PAGE


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match=r"methods: expected the marks .* once; found 0"):
        describe_methods.filled("# Training methods\n")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_its_section_and_its_options(name):
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for part in ("**Formula:**", "**Source:**", "**Compared:**", "**Cost:**", "**Several processes:**"):
        assert part in " ".join(section.split()), part
    for field in dataclasses.fields(
        method_class(name).Options
    ):  # the classes, not what was read from their source
        (row,) = [line for line in OPTIONS if line.startswith(f"| `{name}.{field.name}` |")]
        assert f"| `{field.default}` |" in row
        assert field.metadata["meaning"] in row
