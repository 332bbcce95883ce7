"""Weights of classes, against exact fractions."""

import math
from fractions import Fraction

import pytest

from geomoe.errors import InputError
from geomoe.losses.class_weights import class_weights

SAMPLES = (7, 1, 40, 0, 300)


def exact(samples, beta):
    """Cui et al., equation 2 and 4, scaled to a mean of 1 over the samples."""
    raw = [0 if n == 0 else 1 / (sum(beta**k for k in range(n))) for n in samples]  # E_n is a geometric sum
    mean = sum(n * weight for n, weight in zip(samples, raw, strict=True)) / Fraction(sum(samples))
    return [float(weight / mean) for weight in raw]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 1.0])
def test_they_are_the_effective_numbers(beta):
    found = class_weights(SAMPLES, beta)
    assert found == pytest.approx(exact(SAMPLES, Fraction(beta)), rel=1e-9)
    assert sum(n * weight for n, weight in zip(SAMPLES, found, strict=True)) == pytest.approx(sum(SAMPLES))


def test_its_ends_are_equal_and_balanced_weights():
    assert class_weights((4, 2, 2), 0.0) == (1, 1, 1)
    assert class_weights((4, 2, 2), 1.0) == pytest.approx((8 / 12, 8 / 6, 8 / 6))
    assert class_weights((4, 2, 2), 1 - 1e-12) == pytest.approx((8 / 12, 8 / 6, 8 / 6), rel=1e-3)


@pytest.mark.parametrize("samples", [(), (0, 0), (3, -1)])
def test_samples_are_refused(samples):
    with pytest.raises(InputError, match="samples: expected numbers of samples, one above 0; got"):
        class_weights(samples)


@pytest.mark.parametrize("beta", [-0.1, 1.1, math.nan])
def test_a_beta_is_refused(beta):
    with pytest.raises(InputError, match="beta: expected 0 to 1; got"):
        class_weights((1, 2), beta)
