"""IRM against its definition, with autograd for the slopes; and a colour that ERM falls for."""

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import (
    DOMAINS,
    by_domain,
    double,
    losses_of,
    mean,
    same_with_gradient,
)


def now(step):
    return Now(step, 10**4, 0)


def literal(logits, labels, domains, weight):
    """Loss by loops; the slope of each half by a factor on its logits."""
    risks, penalties = [], []
    for rows in by_domain(domains):
        risks.append(mean(losses_of(logits[rows], labels[rows])))
        if len(rows) > 1:
            slopes = []
            for half in (rows[::2], rows[1::2]):
                factor = torch.ones((), dtype=torch.float64, requires_grad=True)
                risk = mean(losses_of(factor * logits[half], labels[half]))
                slopes.append(torch.autograd.grad(risk, factor, create_graph=True)[0])
            penalties.append(slopes[0] * slopes[1])
    return mean(risks) + weight * mean(penalties)


@pytest.mark.parametrize(("step", "weight"), [(0, 1.0), (6, 1.0), (7, 30.0), (99, 30.0)])
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_loss_and_gradient(domains, step, weight, make, make_batch):
    method = make("irm", weight=30.0, anneal=7).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, now(step))
    want = literal(method.ask(batch).logits, batch.label, domains, weight)
    same_with_gradient(method, answer.total, want)


def test_all_pairs_of_a_domains_samples(make, make_batch):
    method = make("irm", weight=30.0, anneal=0, estimate="pairs").train().double()
    batch = double(make_batch(12, domains=DOMAINS))
    logits, risks, penalties = method.ask(batch).logits, [], []
    for rows in by_domain(DOMAINS):
        risks.append(mean(losses_of(logits[rows], batch.label[rows])))
        slopes = []
        for row in rows:
            factor = torch.ones((), dtype=torch.float64, requires_grad=True)
            (loss,) = losses_of(factor * logits[row : row + 1], batch.label[row : row + 1])
            slopes.append(torch.autograd.grad(loss, factor, create_graph=True)[0])
        products = [one * other for i, one in enumerate(slopes) for j, other in enumerate(slopes) if i != j]
        penalties += [mean(products)] if products else []
    want = mean(risks) + 30 * mean(penalties)
    same_with_gradient(method, method.losses(batch, now(0)).total, want)


def test_the_optimiser_begins_anew_at_the_jump(make, make_batch, stepper):
    method = make("irm", anneal=2).train()
    steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
    counts = []
    for number in range(4):
        method.update(make_batch(16), now(number), steps)
        counts.append(next(iter(steps.optimizers["main"].state.values()))["step"].item())
    assert counts == [1, 2, 1, 2]
