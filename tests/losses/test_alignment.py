"""CORAL and MMD against loops over pairs of domains, and against numbers of DomainBed's code."""

import itertools

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import coral_distance, squared_mmd
from geomoe.losses.pairs import pairs_of_products, pairs_of_vectors


def same_with_gradient(got, want, leaf):
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    slopes = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for value in (got, want)]
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-11)


def literal_coral(features, groups):
    means = [features[rows].mean(dim=0) for rows in groups if rows]
    terms = [((one - other) ** 2).mean() for one, other in itertools.combinations(means, 2)]
    covariances = [torch.cov(features[rows].T) for rows in groups if len(rows) > 1]
    more = [((one - other) ** 2).mean() for one, other in itertools.combinations(covariances, 2)]
    return sum(terms) / len(terms) + sum(more) / len(more)


def literal_mmd(features, groups):
    def kernel(one, other):
        values = [
            torch.exp(-(10.0**power) * ((features[i] - features[j]) ** 2).sum())
            for i in one
            for j in other
            for power in range(-3, 4)
        ]
        return sum(values) / (len(one) * len(other))

    pairs = list(itertools.combinations([rows for rows in groups if rows], 2))
    return sum(kernel(p, p) + kernel(q, q) - 2 * kernel(p, q) for p, q in pairs) / len(pairs)


LITERAL = {coral_distance: literal_coral, squared_mmd: literal_mmd}


@pytest.mark.parametrize("loss", LITERAL)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_value_and_gradient(loss, scale, parts):
    features = parts.features * scale + 5
    same_with_gradient(loss(features, parts.members), LITERAL[loss](features, parts.rows), parts.features)


@pytest.mark.parametrize(
    ("loss", "number"), [(coral_distance, 0.23365221623582325), (squared_mmd, 1.914636828666099)]
)
def test_the_numbers_of_domainbed(loss, number, table):
    assert loss(table.features, table.members).item() == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize("loss", LITERAL)
def test_in_float32_and_under_autocast(loss, parts):
    want = LITERAL[loss](parts.features, parts.rows).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(parts.features.float(), parts.members)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("loss", LITERAL)
def test_one_domain_or_none_is_zero_with_a_gradient(loss, parts):
    for members in (parts.members[:, :1], torch.zeros_like(parts.members)):
        value = loss(parts.features, members)
        assert value.abs() < 1e-14
        assert torch.autograd.grad(value, parts.features)[0].abs().max() < 1e-14


@pytest.mark.parametrize("loss", LITERAL)
def test_the_same_samples_in_both_domains_are_no_distance_apart(loss):
    features = torch.randn(6, 4, dtype=torch.float64).repeat(2, 1)
    members = torch.arange(12)[:, None] // 6 == torch.arange(2)
    assert loss(features, members).abs() < 1e-13


@pytest.mark.parametrize("loss", LITERAL)
def test_members_that_do_not_fit_are_refused(loss, parts):
    with pytest.raises(InputError, match=r"expected \(B, G\) bool members"):
        loss(parts.features, parts.members[1:])


def test_pairs_in_closed_form():
    vectors = torch.randn(5, 3, dtype=torch.float64)
    present = torch.tensor([True, False, True, True, True])
    want = [((vectors[i] - vectors[j]) ** 2).sum() for i, j in itertools.combinations([0, 2, 3, 4], 2)]
    torch.testing.assert_close(pairs_of_vectors(vectors, present), sum(want) / 6)
    torch.testing.assert_close(pairs_of_products(vectors @ vectors.T, present), sum(want) / 6)
