"""One definition of the worst group, wherever one is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import geomoe.metrics
from geomoe.metrics import fmow_scores, group_accuracy, worst_group, worst_name


def test_the_lowest_the_first_of_equals_none_where_nobody_counts():
    accuracy = {"a": 0.5, "b": math.nan, "c": 0.25, "d": 0.25}
    assert worst_name(accuracy) == "c"
    assert worst_name(accuracy, ["c"]) == "d"
    assert worst_name(accuracy, ["a", "c", "d"]) is None
    assert worst_name({}) is None


@pytest.mark.parametrize("seed", range(5))
def test_everybody_names_the_same_group(seed):
    from geomoe.training.validation import RegionMetrics

    rng = np.random.default_rng(seed)
    names = ["Asia", "Europe", "Africa", "Other"]
    label, predicted, region = (rng.integers(0, high, 60) for high in (2, 2, 3 + seed % 2))
    scores = group_accuracy(predicted, label, region, names)
    literal = {
        name: np.mean([p == t for p, t, r in zip(predicted, label, region, strict=True) if r == number])
        for number, name in enumerate(names[:3])
    }
    worst = min(literal, key=literal.get)
    assert worst_name({name: one.accuracy for name, one in scores.items()}, ["Other"]) == worst
    assert worst_group(scores, ["Other"])[0] == worst
    nobody = np.full(60, -1)
    assert fmow_scores(predicted, label, region, nobody, names, ["2016"]).worst_region[0] == worst
    metric = RegionMetrics(names, ["Other"], num_classes=2)
    metric.update(
        torch.eye(2)[torch.from_numpy(predicted)], torch.from_numpy(label), torch.from_numpy(region)
    )
    assert metric.compute()["worst_region_acc"] == pytest.approx(literal[worst])


def test_regions_that_are_spelt_alike_have_metrics_of_their_own():
    from geomoe.training.validation import RegionMetrics

    metric = RegionMetrics(["site A", "Site-a", "b", "site_a_2", "Site a"], num_classes=2)
    label = torch.tensor([0, 0, 0, 1, 1])
    metric.update(torch.eye(2)[torch.tensor([0, 1, 0, 1, 0])], label, torch.arange(5))
    found = metric.compute()
    names = {"acc_site_a": 1, "acc_site_a_2": 0, "acc_b": 1, "acc_site_a_2_2": 1, "acc_site_a_3": 0}
    assert {name: found[name] for name in found if name[:5] in ("acc_s", "acc_b")} == names


def test_every_public_name_is_there():
    assert set(geomoe.metrics.__all__) == set(geomoe.metrics._PUBLIC)
    for name in geomoe.metrics.__all__:
        assert getattr(geomoe.metrics, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        geomoe.metrics.nothing  # noqa: B018
