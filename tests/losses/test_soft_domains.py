"""MMD between soft domains against loops in float64, and against the losses for known domains."""

from __future__ import annotations

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import ClassPairs, grouped_mmd, soft_mmd

M, B, D, G = 2, 11, 3, 4
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 0])


def literal(features, label, domains, mass, alpha):
    """Loops over experts, classes and pairs of soft domains."""
    total = features.sum() * 0
    for expert in range(len(features)):
        x = features[expert]
        gaps = (x[:, None] - x[None, :]).square().sum(dim=2)
        unit = gaps.detach().sum() / (len(x) * (len(x) - 1))
        kernel = sum((-gaps / (2 * v * unit)).exp() for v in (1, 2, 4, 8, 16)) / 5
        for one in label.unique().tolist():
            own = (label == one).double()
            sums = [(own * domains[:, i]).sum().item() for i in range(G)]
            weights = [own * domains[:, i] / sums[i] if sums[i] else None for i in range(G)]
            for i in range(G):
                for j in range(i + 1, G):
                    if weights[i] is None or weights[j] is None:
                        continue
                    rho = [(weights[k] * mass[:, expert]).sum().item() for k in (i, j)]
                    a = math.prod(1 / (1 + math.exp(-alpha * one_)) for one_ in rho)
                    apart = weights[i] - weights[j]
                    total = total + a * (apart @ kernel @ apart)
    return total


def case(seed=0):
    torch.manual_seed(seed)
    features = torch.randn(M, B, D, dtype=torch.float64, requires_grad=True)
    domains = torch.rand(B, G, dtype=torch.float64) * (torch.rand(B, G) < 0.6)  # gates have zeros
    domains[LABELS == 2, 1] = 0  # a class that a domain does not have
    domains[-1] = 0
    return features, domains, torch.rand(B, M, dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 4.0])
def test_values_and_gradients_are_those_of_loops(alpha):
    features, domains, mass = case()
    found, want = (
        soft_mmd(features, LABELS, domains, mass, alpha),
        literal(features, LABELS, domains, mass, alpha),
    )
    torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)
    ours, loops = (torch.autograd.grad(one, features)[0] for one in (found, want))
    torch.testing.assert_close(ours, loops, rtol=1e-9, atol=1e-12)


def test_with_weights_of_0_and_1_it_is_the_loss_for_known_domains():
    features, _, mass = case()
    domain = torch.tensor([0, 1, 1, 3, 0, 0, 2, 1, 1, 2, -1])
    hard = torch.zeros(B, G, dtype=torch.float64)
    hard[domain >= 0] = torch.nn.functional.one_hot(domain[domain >= 0], G).double()
    pairs = ClassPairs.of(LABELS, domain)
    sharp = torch.sigmoid(4.0 * pairs.cell_means(mass)).T
    want = grouped_mmd(features, pairs, sharp[:, pairs.first] * sharp[:, pairs.second])
    found = soft_mmd(features, LABELS, hard, mass, 4.0)
    torch.testing.assert_close(found, want)
    ours, known = (torch.autograd.grad(one, features)[0] for one in (found, want))
    torch.testing.assert_close(ours, known)


def test_domains_that_are_alike_and_batches_without_pairs_give_zero():
    features, domains, mass = case()
    alike = domains[:, :1].expand(-1, G)
    assert soft_mmd(features, LABELS, alike, mass).abs() < 1e-12
    nobody = soft_mmd(features, LABELS, torch.zeros_like(domains), mass)
    assert nobody.item() == 0
    assert not torch.autograd.grad(nobody, features)[0].any()


def test_golden_vector():
    """Two samples at distance 1, each in a domain: unit 1, k = mean_v exp(-1 / 2v) = 0.8352949.

    MMD^2 = 2 - 2 k = 0.3294101, and with alpha 0 the pair's weight is 1/4: 0.0823525.
    """
    features = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    domains, mass = torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    kernel = sum(math.exp(-1 / (2 * v)) for v in (1, 2, 4, 8, 16)) / 5
    found = soft_mmd(features, torch.zeros(2, dtype=torch.long), domains, mass, alpha=0.0)
    assert found.item() == pytest.approx((2 - 2 * kernel) / 4, rel=1e-9)
    assert found.item() == pytest.approx(0.0823525, abs=1e-7)


def test_shapes_that_do_not_fit_are_refused():
    features, domains, mass = case()
    for bad in (
        (features[0], LABELS, domains, mass),
        (features, LABELS[1:], domains, mass),
        (features, LABELS, domains[1:], mass),
        (features, LABELS, domains, mass[:, :1]),
    ):
        with pytest.raises(InputError, match="soft_mmd: expected"):
            soft_mmd(*bad)
