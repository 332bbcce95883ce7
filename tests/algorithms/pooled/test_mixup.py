"""Mixup against its definition: pairs of domains by a loop, in DomainBed's way where sizes are equal."""

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import DOMAINS, by_domain, double, losses_of, mean, same_with_gradient

NOW = Now(0, 100, 0)


def draws(alpha):
    """What the method draws after the same seed: numbers to sort domains by, and shares."""
    torch.manual_seed(3)
    order = torch.rand(4)
    concentration = torch.full((4,), alpha)
    return order, torch.distributions.Beta(concentration, concentration).sample()


def literal(method, batch, alpha):
    """Loss by a loop over the pairs of domains; one pass through the network, which has batch norms."""
    order, lam = draws(alpha)
    rows_of = {d: [r for r, own in enumerate(batch.domain.tolist()) if own == d] for d in range(4)}
    present = sorted((d for d in rows_of if rows_of[d]), key=lambda d: order[d].item())
    image, pairs = batch.image.clone(), []
    for place, domain in enumerate(present):
        first, others = rows_of[domain], rows_of[present[(place + 1) % len(present)]]
        second = [others[number % len(others)] for number in range(len(first))]
        share = lam[domain].double()
        image[first] = share * batch.image[first] + (1 - share) * batch.image[second]
        pairs.append((share, first, second))
    logits = method.model(image, batch.place).logits
    found = []
    for share, first, second in pairs:
        own, other = (losses_of(logits[first], batch.label[rows]) for rows in (first, second))
        found.append(share * mean(own) + (1 - share) * mean(other))
    return mean(found)


@pytest.mark.parametrize("alpha", [0.2, 2.0])
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12, [3, 1, 1, 3, 1, 3] * 2])
def test_loss_and_gradient(domains, alpha, make, make_batch):
    method = make("mixup", alpha=alpha).train().double()
    batch = double(make_batch(12, domains=domains))
    torch.manual_seed(3)
    answer = method.losses(batch, NOW)
    same_with_gradient(method, answer.total, literal(method, batch, alpha))


def test_every_domain_of_the_batch_is_mixed_with_one_other(make):
    method = make("mixup").train()
    domain = torch.tensor([0, 2, 2, 0, 3, -1, 2, 0, 3, 9])
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        pairs = method._pairs(domain, torch.float64)
        partners = {}
        for own, other in zip(domain.tolist(), domain[pairs.partner].tolist(), strict=True):
            partners.setdefault(own, set()).add(other)
        assert partners.pop(-1) == {-1}
        assert partners.pop(9) == {9}
        assert all(len(found) == 1 for found in partners.values())
        assert {next(iter(found)) for found in partners.values()} == {0, 2, 3}
        assert all(own not in found for own, found in partners.items())
        assert pairs.weight.sum().item() == pytest.approx(1)
        assert pairs.weight[[5, 9]].tolist() == [0, 0]
        seen.add(partners[0].pop())
    assert seen == {2, 3}


def test_shares_follow_the_beta_distribution(make):
    """Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))."""
    method = make("mixup", alpha=0.5).train()
    drawn = torch.cat([method._draws(torch.device("cpu"))[1] for _ in range(2000)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / 8, abs=0.005)


def test_nothing_is_mixed_in_evaluation(make, make_batch):
    method = make("mixup").eval()
    batch = make_batch(12, domains=[0, 1, 2] * 4)
    losses = method.cross_entropy(method(batch).logits, batch.label, "none")
    risks = [losses[rows].mean() for rows in by_domain([0, 1, 2] * 4)]
    torch.testing.assert_close(method.losses(batch, NOW).total, mean(risks))
