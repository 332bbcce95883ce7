"""The domain probe is scikit-learn's logistic regression, cross-validated, class by class."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from geomoe.errors import InputError
from geomoe.metrics.probe import domain_probe, fit_logistic, stratified_folds


def made(seed=0, count=240, width=6, shift=1.0):
    """Features whose means depend on the domain, classes and domains; some domains are unknown."""
    rng = np.random.default_rng(seed)
    domain, label = rng.integers(-1, 3, count), rng.integers(0, 4, count)
    features = rng.normal(size=(count, width)) + shift * rng.normal(size=(4, width))[domain]
    return features, label, domain


@pytest.mark.parametrize(("count", "width"), [(60, 5), (20, 40)])
@pytest.mark.parametrize("penalty", [1.0, 0.1])
def test_logistic_regression_is_scikit_learns(count, width, penalty):
    rng = np.random.default_rng(count)
    x, ids = rng.normal(size=(count, width)), rng.integers(0, 3, count)
    weight, bias = fit_logistic(x, ids, 3, penalty)
    peer = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(x, ids)
    found = x @ weight + bias
    expected = peer.decision_function(x)
    assert found - found.mean(axis=1, keepdims=True) == pytest.approx(
        expected - expected.mean(axis=1, keepdims=True), abs=2e-3
    )
    power = np.exp(found)
    assert power / power.sum(axis=1, keepdims=True) == pytest.approx(peer.predict_proba(x), abs=5e-4)


def test_probe_is_scikit_learns_in_the_same_folds():
    features, label, domain = made()
    found = domain_probe(features, label, domain, folds=4, seed=7)
    assert [one.label for one in found.classes] == [0, 1, 2, 3]
    for one in found.classes:
        rows = np.flatnonzero((label == one.label) & (domain >= 0))
        part = stratified_folds(domain[rows], 4, np.random.default_rng([7, one.label]))
        right = 0
        for fold in range(4):
            fit, left = rows[part != fold], rows[part == fold]
            scaler = StandardScaler().fit(features[fit])
            peer = LogisticRegression(max_iter=1000, tol=1e-8)
            peer.fit(scaler.transform(features[fit]), domain[fit])
            right += (peer.predict(scaler.transform(features[left])) == domain[left]).sum()
        assert one.accuracy == pytest.approx(right / len(rows), abs=1.01 / len(rows))
        counts = np.bincount(domain[rows])
        assert (one.samples, one.domains) == (len(rows), 3)
        assert one.chance == pytest.approx(counts.max() / counts.sum())
    assert found.accuracy == pytest.approx(np.mean([one.accuracy for one in found.classes]))
    assert found.chance == pytest.approx(np.mean([one.chance for one in found.classes]))
    assert found.uniform == pytest.approx(1 / 3)


def test_features_without_the_domain_are_at_chance_and_separable_ones_are_read():
    features, label, domain = made(count=1200, shift=0.0)
    assert domain_probe(features, label, domain).accuracy == pytest.approx(1 / 3, abs=0.08)
    one_hot = np.eye(4)[domain] * 1e-6  # the scale does not matter
    assert domain_probe(one_hot, label, domain).accuracy == 1


def test_folds_have_the_same_number_of_each_domain():
    ids = np.repeat([0, 1, 2], [11, 4, 7])
    part = stratified_folds(ids, 4, np.random.default_rng(0))
    for one in range(3):
        counts = np.bincount(part[ids == one], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(part)) <= 1


def test_classes_that_cannot_be_probed_are_left_out():
    features = np.random.default_rng(0).normal(size=(9, 2))
    label = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    domain = np.array([0, 0, 1, 1, 0, 0, 1, 0, 0])  # class 1: one sample in a domain; class 2: one domain
    found = domain_probe(features, label, domain)
    assert [(one.label, one.samples) for one in found.classes] == [(0, 4)]
    assert domain_probe(features, label, np.zeros(9, dtype=int)) is None
    constant = domain_probe(np.ones((9, 2)), label, domain)
    assert constant.accuracy <= 0.5  # nothing to read, and no warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        domain_probe(np.ones((9, 2)), label, domain)


def test_refusals():
    features, label, domain = made(count=20)
    with pytest.raises(InputError, match="folds: expected at least 2; got 1"):
        domain_probe(features, label, domain, folds=1)
    with pytest.raises(InputError, match="label: expected 20 rows"):
        domain_probe(features, label[:5], domain)
    features[3] = np.nan
    with pytest.raises(InputError, match="features: expected finite numbers"):
        domain_probe(features, label, domain)
