"""Variances of per-sample gradients against autograd, sample by sample."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.errors import InputError
from geomoe.losses import fishr_penalty, gradient_variances


def gradients(classifier, features, labels, smoothing=0.0):
    """(B, C * D + C) of each sample's own loss."""
    found = []
    for row, label in zip(features, labels, strict=True):
        loss = cross_entropy(classifier(row), label, label_smoothing=smoothing)
        slopes = torch.autograd.grad(loss, list(classifier.parameters()), create_graph=True)
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(found)


def literal(each, groups):
    """Variances by loops; zero for domains of no or one sample."""
    found = []
    for rows in groups:
        mean = sum(each[row] for row in rows) / max(len(rows), 1)
        found.append(sum(((each[row] - mean) ** 2 for row in rows), 0 * each[0]) / max(len(rows), 1))
    return torch.stack(found)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_variances_and_their_gradient(smoothing, parts):
    classifier = torch.nn.Linear(6, 4).double()
    each = gradients(classifier, parts.features, parts.labels, smoothing)
    want = literal(each, parts.rows)
    logits = classifier(parts.features)
    got = gradient_variances(parts.features, logits, parts.labels, parts.members, smoothing)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-14)
    for leaf in (parts.features, classifier.weight, classifier.bias):
        slopes = [torch.autograd.grad(v.square().sum(), leaf, retain_graph=True)[0] for v in (got, want)]
        torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-13)


def test_the_penalty_is_the_mean_squared_distance_to_the_mean():
    variances = torch.rand(4, 7, dtype=torch.float64)
    present = torch.tensor([True, True, False, True])
    some = variances[present]
    want = sum(((one - some.mean(dim=0)) ** 2).mean() for one in some) / 3
    torch.testing.assert_close(fishr_penalty(variances, present), want)
    assert fishr_penalty(variances, torch.tensor([False, True, False, False])) == 0
    assert fishr_penalty(variances, torch.zeros(4, dtype=torch.bool)) == 0


def test_the_numbers_of_domainbed(table):
    """Its functions were given the gradients by a 3 x 3 weight and by a bias; the averages' first values."""
    found = gradient_variances(table.features, table.logits, table.labels, table.members)
    assert found[0, :9].sum().item() == pytest.approx(0.6492554871006485, rel=1e-12)
    penalty = fishr_penalty(found, torch.ones(2, dtype=torch.bool))
    assert penalty.item() == pytest.approx(0.0026066649358470915, rel=1e-12)


def test_members_that_do_not_fit_are_refused(parts):
    with pytest.raises(InputError, match=r"expected \(B, G\) bool members"):
        gradient_variances(parts.features, parts.logits, parts.labels, parts.members[1:])
