"""LFME against its definition, with plain SGD on copies of all its networks."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.algorithms import Now
from tests.algorithms.reference import DOMAINS, double

NOW = Now(0, 100, 0)


def stepped(network, loss):
    """Weights after a step of plain SGD, with rate 0.1."""
    found = torch.autograd.grad(loss, list(network.parameters()))
    return [value - 0.1 * slope for value, slope in zip(network.parameters(), found, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_one_update(domains, make, make_batch, stepper):
    method = make("lfme", weight=0.7).train().double()
    batch = double(make_batch(12, domains=domains))
    target, experts = copy.deepcopy(method.model), copy.deepcopy(method.experts)
    guide, want = {}, {}
    for domain in range(4):
        rows = [row for row, own in enumerate(domains) if own == domain]
        if rows:
            part = batch.take(torch.tensor(rows))
            logits = experts[domain](part.image, part.place).logits
            loss = cross_entropy(logits, part.label)
            guide |= dict(zip(rows, logits.detach().exp() / logits.detach().exp().sum(1, True), strict=True))
            want[domain] = stepped(experts[domain], loss)
    logits = target(batch.image, batch.place).logits
    squares = [(logits[row] - guide[row]) ** 2 for row in guide]
    task, drawn = cross_entropy(logits, batch.label), 0.7 * torch.stack(squares).mean()
    steps = stepper(method)
    answer = method.update(batch, NOW, steps)
    assert steps.applied == [f"expert{domain}" for domain in want] + ["main"]
    torch.testing.assert_close(answer.terms["task"], task)
    torch.testing.assert_close(answer.terms["guide"], drawn)
    for domain, weights in want.items():
        for value, wanted in zip(method.experts[domain].parameters(), weights, strict=True):
            torch.testing.assert_close(value, wanted)
    for value, wanted in zip(method.model.parameters(), stepped(target, task + drawn), strict=True):
        torch.testing.assert_close(value, wanted)


def test_an_expert_without_its_domain_stands_still(make, make_batch, stepper):
    method = make("lfme").train()
    before = copy.deepcopy(method.experts[1].state_dict())
    method.update(make_batch(8, domains=[0, 0, 2, 2, 3, 3, -1, 9]), NOW, stepper(method))
    assert all(torch.equal(value, before[key]) for key, value in method.experts[1].state_dict().items())


def test_without_a_known_domain_it_is_erm(make, make_batch, stepper):
    method = make("lfme").train()
    steps = stepper(method)
    answer = method.update(make_batch(4, domains=[-1, -1, 8, 8]), NOW, steps)
    assert steps.applied == ["main"]
    assert answer.terms["guide"] == 0


def test_losses_are_guided_by_the_experts_as_they_are(make, make_batch, stepper):
    method, batch = make("lfme").eval(), make_batch(12, domains=DOMAINS)
    found = method.losses(batch, NOW)
    answer = method.update(batch, NOW, stepper(method, lr=0.0))
    for key, value in answer.terms.items():
        torch.testing.assert_close(found.terms[key], value)


@pytest.mark.long
@pytest.mark.slow
def test_guidance_keeps_logits_small(make, make_batch, stepper):
    size = {}
    batch = make_batch(32, unknown=0, domains=[0, 1, 2, 3] * 8)
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        method = make("lfme", weight=weight).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        for _ in range(30):
            method.update(batch, NOW, steps)
        with torch.no_grad():
            size[weight] = method.eval()(batch).logits.square().mean().item()
    assert size[1.0] < 0.5 * size[0.0]
