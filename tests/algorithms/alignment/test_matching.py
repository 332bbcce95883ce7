"""CORAL and MMD: the loss and its gradient through a network, and domains that come together."""

import itertools

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import DOMAINS, by_domain, double, losses_of, mean, same_with_gradient

NOW = Now(0, 100, 0)


def moments(features, groups):
    """What CORAL compares: means and covariances."""

    def pairs(vectors):
        found = [((one - other) ** 2).mean() for one, other in itertools.combinations(vectors, 2)]
        return mean(found) if found else 0

    means = pairs([features[rows].mean(dim=0) for rows in groups])
    return means + pairs([torch.cov(features[rows].T) for rows in groups if len(rows) > 1])


def kernels(features, groups):
    """What MMD compares: samples under seven Gaussian kernels."""

    def kernel(one, other):
        square = ((features[one][:, None] - features[other][None]) ** 2).sum(dim=2)
        return sum(torch.exp(-(10.0**power) * square).mean() for power in range(-3, 4))

    pairs = itertools.combinations(groups, 2)
    return mean([kernel(p, p) + kernel(q, q) - 2 * kernel(p, q) for p, q in pairs])


@pytest.mark.parametrize(("name", "literal"), [("coral", moments), ("mmd", kernels)])
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [0, 0, 0, 1, 1, 1, 1, 1, 1, 3, 3, 3]])
def test_loss_and_gradient(name, literal, domains, make, make_batch):
    method = make(name, weight=0.7).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, NOW)
    output = method.ask(batch)
    losses, groups = losses_of(output.logits, batch.label), by_domain(domains)
    task = mean([mean([losses[row] for row in rows]) for rows in groups])
    distance = literal(output.features, groups)
    same_with_gradient(method, answer.total, task + 0.7 * distance)
    assert list(answer.terms) == ["task", name]
    torch.testing.assert_close(answer.notes[method.note], distance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weight", "left"), [("coral", 1.0, 0.5), pytest.param("mmd", 5.0, 0.6, marks=pytest.mark.long)]
)
def test_domains_come_together(name, weight, left, make, make_batch, stepper):
    """A domain that the pixels give away: its features keep apart for ERM, and less so with the penalty."""
    batch = make_batch(64, unknown=0, domains=[0, 1, 2, 3] * 16)
    image = batch.image / 4
    image[:, 0] += batch.domain[:, None, None] - 1.5
    image[:, 1] += (batch.label - 2.0)[:, None, None]
    batch = batch._replace(image=image)
    apart = []
    for share in (0.0, weight):
        torch.manual_seed(0)
        method = make(name, weight=share).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        for _ in range(40):
            answer = method.update(batch, NOW, steps)
        apart.append(answer.notes[method.note].item())
    assert apart[1] < left * apart[0]
