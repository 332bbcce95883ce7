"""The summary of domain growth against the paper's own tables and numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.metrics import domain_growth

SOURCES = (3, 5, 7, 9, 11, 13, 15, 17)
# MESSI, Tables 14 and 15 (the curves) -> Table 13 (peak, last, drop, relative drop in percent), as printed
PUBLISHED = {
    "CORAL 1": ((50.84, 50.79, 68.45, 71.96, 70.44, 71.00, 70.20, 69.38), (71.96, 69.38, 2.58, 3.59)),
    "CORAL 10": ((50.79, 50.79, 68.80, 71.64, 70.91, 71.00, 68.92, 68.77), (71.64, 68.77, 2.87, 4.01)),
    "CORAL 100": ((50.79, 50.82, 68.85, 70.10, 69.10, 68.59, 66.35, 66.46), (70.10, 66.46, 3.64, 5.19)),
    "CORAL 250": ((50.79, 50.86, 65.65, 68.75, 67.30, 67.84, 63.99, 63.67), (68.75, 63.67, 5.08, 7.39)),
    "CORAL 500": ((50.79, 50.79, 59.95, 64.89, 67.69, 66.17, 62.81, 59.78), (67.69, 59.78, 7.91, 11.69)),
    "MESSI": ((50.79, 57.14, 74.00, 75.31, 74.80, 74.10, 74.99, 73.45), (75.31, 73.45, 1.86, 2.47)),
}


@pytest.mark.parametrize("method", PUBLISHED)
def test_the_published_curves_give_the_published_summary(method):
    curve, printed = PUBLISHED[method]
    found = domain_growth({count: [value] for count, value in zip(SOURCES, curve, strict=True)})
    summary = (found.peak, found.last, found.drop, 100 * found.relative_drop)
    assert summary == pytest.approx(printed, abs=0.0051)  # printed with two decimals
    assert found.average == pytest.approx(sum(curve) / 8, abs=1e-12)
    assert found.peak_domains == SOURCES[curve.index(printed[0])]


def test_runs_are_averaged_before_anything_else():
    # means .5, .8, .6; spreads: sqrt(.02), sqrt(.01), unknown
    found = domain_growth({9: torch.tensor([0.7, 0.9, 0.8], dtype=torch.float64), 3: (0.4, 0.6), 17: [0.6]})
    assert found.domains == (3, 9, 17)
    assert found.runs == (2, 3, 1)
    assert found.mean == pytest.approx((0.5, 0.8, 0.6), abs=1e-12)
    assert found.std[:2] == pytest.approx((math.sqrt(0.02), 0.1), abs=1e-12)
    assert math.isnan(found.std[2])
    assert (found.peak_domains, found.peak, found.last) == pytest.approx((9, 0.8, 0.6))
    assert found.drop == pytest.approx(0.2, abs=1e-12)
    assert found.relative_drop == pytest.approx(0.25, abs=1e-12)
    assert found.average == pytest.approx(1.9 / 3, abs=1e-12)


def test_no_drop_where_the_last_is_the_best():
    found = domain_growth({3: [0.5], 5: [0.75]})
    assert (found.drop, found.relative_drop, found.peak_domains) == (0, 0, 5)


def test_the_first_of_equal_peaks():
    assert domain_growth({3: [0.5], 5: [0.5]}).peak_domains == 3


def test_a_peak_of_zero_has_no_relative_drop():
    assert math.isnan(domain_growth({3: [0.0], 5: [0.0]}).relative_drop)


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ({}, "empty"),
        ({0: [0.5]}, "start at 1; got 0"),
        ({3: []}, r"accuracies\[3\]: expected one or more"),
        ({3: [0.5, math.nan]}, r"accuracies\[3\]: expected one or more finite"),
        ({5: [-0.1]}, r"accuracies\[5\].*got \[-0.1\]"),
        ({5: 0.5}, r"accuracies\[5\]: expected 1 axes"),
    ],
)
def test_refusals(accuracies, message):
    with pytest.raises(InputError, match=message):
        domain_growth(accuracies)
