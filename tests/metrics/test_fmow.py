"""FMoW's numbers against sums by hand, in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from geomoe.errors import InputError
from geomoe.metrics import fmow_scores

REGIONS, YEARS = ("Asia", "Europe", "Africa", "Other"), ("2015", "2016", "2017")


def by_hand(predicted, true, group, names):
    """Name -> share of right answers as a fraction, for groups with samples."""
    hits = {name: [] for name in names}
    for guess, truth, number in zip(predicted, true, group, strict=True):
        if number >= 0:
            hits[names[number]].append(guess == truth)
    return {name: Fraction(sum(map(int, right)), len(right)) for name, right in hits.items() if right}


@pytest.mark.parametrize("seed", range(5))
def test_against_fractions(seed):
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(0, 3, (2, 200))
    region, year = rng.integers(0, 4, 200), rng.integers(-1, 3, 200)
    predicted[region == 3] = (true[region == 3] + 1) % 3  # Other is all wrong, and does not count
    found = fmow_scores(predicted, true, region, year, REGIONS, YEARS)
    regions, years = by_hand(predicted, true, region, REGIONS), by_hand(predicted, true, year, YEARS)
    assert found.average == float(Fraction(int((predicted == true).sum()), 200))
    assert {name: score.accuracy for name, score in found.regions.items()} == {
        name: float(value) for name, value in regions.items()
    }
    assert {name: score.accuracy for name, score in found.years.items()} == {
        name: float(value) for name, value in years.items()
    }
    assert found.regions["Other"].accuracy == 0
    del regions["Other"]
    assert found.worst_region[1].accuracy == float(min(regions.values()))
    assert found.worst_region[0] in [
        name for name, value in regions.items() if value == min(regions.values())
    ]
    assert found.worst_year[1].accuracy == float(min(years.values()))
    assert sum(score.samples for score in found.years.values()) == (year >= 0).sum()


def test_regions_and_years_without_samples():
    found = fmow_scores([0, 1], [0, 0], [3, 3], [-1, -1], REGIONS, YEARS)
    assert found.worst_region is None
    assert found.worst_year is None
    assert found.average == 0.5
    assert found.regions["Asia"].samples == 0
    only = fmow_scores([0, 1], [0, 0], [1, 3], [0, 2], REGIONS, YEARS)
    assert only.worst_region == ("Europe", (1.0, 1))
    assert only.worst_year == ("2017", (0.0, 1))


def test_refusals():
    with pytest.raises(InputError, match="there are 4 names; got group id 4"):
        fmow_scores([0], [0], [4], [0], REGIONS, YEARS)
    with pytest.raises(InputError, match="expected 2 rows"):
        fmow_scores([0, 1], [0, 1], [0], [0, 1], REGIONS, YEARS)
