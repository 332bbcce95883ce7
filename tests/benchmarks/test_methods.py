"""The benchmark of all methods measures every method of the catalogue."""

from __future__ import annotations

import pytest

from benchmarks import methods
from geomoe.catalogue import METHODS


@pytest.mark.slow
def test_every_method_is_built():
    arguments = methods.parse([])
    assert arguments.methods == list(METHODS)
    for name in arguments.methods:
        assert isinstance(methods.make(name, arguments), methods.method_class(name)), name


def test_a_row_has_the_costs_of_a_method():
    arguments = methods.parse(["--rounds", "1", "--batch", "8"])
    row = methods.measure("d3g", methods.Contestant("erm", arguments), arguments)
    assert 0 < row.trained <= row.kept  # the vector of unknown places is not trained
    assert row.step > 0
    assert row.inference > 0
    assert methods.table([row]).splitlines()[-1].startswith("| `d3g` | ")
