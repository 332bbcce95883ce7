"""Which of many names a test takes without --long: the first one of each kind."""

from __future__ import annotations

import pytest

from geomoe.algorithms import Method, method_class
from geomoe.catalogue import CATALOGUE, METHODS, source_of


def first_of_each(names, kind):
    """Parameters of a test: names whose kind one before them has carry the marker long."""
    seen, parameters = set(), []
    for name in names:
        found = kind(name)
        parameters.append(pytest.param(name, marks=[pytest.mark.long] if found in seen else []))
        seen.add(found)
    return parameters


def long_after(number, names):
    """Parameters of a test: names after the first ones carry the marker long."""
    marks = [[pytest.mark.long] if place >= number else [] for place in range(len(names))]
    return [pytest.param(name, marks=some) for name, some in zip(names, marks, strict=True)]


def names_asked(request, names):
    """Those of the names that parametrise a test of this run in the file that asks."""
    items = [item for item in request.session.items if item.path == request.path]
    asked = {item.callspec.params.get("name") for item in items if hasattr(item, "callspec")}
    return [name for name in names if name in asked]


def update_of(name):
    """Methods of one kind have the same network and take their steps in the same way."""
    entry = METHODS[name]
    return entry.network, method_class(name).update is not Method.update, entry.wrapper


def folder_of(name):
    """Methods of one kind stand in the same folder and take their steps in the same way."""
    folder = METHODS[name].target.split(".")[2]
    return folder, method_class(name).update is not Method.update, METHODS[name].wrapper


def reader_of(name):
    """Data sets of one kind are read by the same code."""
    return CATALOGUE[source_of(name)].module.partition(":")[0]
