"""The facts on places that methods get: mean places of domains, and a held-out domain without any."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from geomoe.config import RunConfig
from geomoe.training.run import facts_of

NAN = [np.nan, np.nan]


def data(held_out=None, left=()):
    """What is asked of a data module: three domains, of which the second has no known place."""
    lonlat = np.array([[170.0, 0.0], [-170.0, 0.0], NAN, NAN, [10.0, 80.0], NAN, [30.0, -30.0]])
    domains = np.array([0, 0, 0, 1, 2, 2, -1])
    train = SimpleNamespace(lonlat=lonlat, domains=domains, classes=("a", "b"), regions=("x", "y", "z", "w"))
    rest = SimpleNamespace(lonlat=np.array(left, dtype=np.float64).reshape(-1, 2))
    return SimpleNamespace(
        train_dataset=train, held_out=held_out, dataset=lambda split: {"held_out": rest}[split]
    )


def test_mean_places_of_training_domains():
    facts = facts_of(replace(RunConfig(), algorithm="d3g"), data())
    assert (facts.domains, facts.samples) == ((0, 1, 2), (3, 1, 2))
    (lon, lat), nothing, north = facts.centres
    assert (abs(lon), lat) == (pytest.approx(180), pytest.approx(0, abs=1e-9))  # across the antimeridian
    assert nothing is None
    assert north == pytest.approx((10, 80))
    assert facts.unplaced == ""


@pytest.mark.parametrize(
    ("algorithm", "left", "unplaced"),
    [
        ("d3g", [NAN, NAN], "w"),
        ("dcp_le", [NAN], "w"),
        ("d3g", [NAN, [1.0, 2.0]], ""),
        ("d3g", [], ""),  # no samples: nothing to say about them
        ("dcp", [NAN], ""),  # reads no places
    ],
)
def test_a_held_out_domain_without_a_place(algorithm, left, unplaced):
    facts = facts_of(replace(RunConfig(), algorithm=algorithm), data("w", left))
    assert facts.unplaced == unplaced
