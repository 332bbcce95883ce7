"""VREx against its definition, and a colour that ERM falls for."""

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


@pytest.mark.parametrize(("step", "weight"), [(0, 1.0), (6, 1.0), (7, 3.0)])
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_loss_and_gradient(domains, step, weight, make, make_batch):
    method = make("vrex", weight=3.0, anneal=7).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, now(step))
    losses = losses_of(method.ask(batch).logits, batch.label)
    risks = [mean([losses[row] for row in rows]) for rows in by_domain(domains)]
    want = mean(risks) + weight * mean([(risk - mean(risks)) ** 2 for risk in risks])
    same_with_gradient(method, answer.total, want)


def test_the_optimiser_begins_anew_at_the_jump(make, make_batch, stepper):
    method = make("vrex", anneal=1).train()
    steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
    for number in range(2):
        method.update(make_batch(16), now(number), steps)
        assert next(iter(steps.optimizers["main"].state.values()))["step"] == 1
