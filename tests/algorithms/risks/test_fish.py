"""Fish against its definition, written out with plain SGD."""

import copy

import pytest
import torch
from torch.nn import functional

from geomoe.algorithms import Now

NOW = Now(0, 10, 0)


def literal(outer, batch, order, lr, meta_lr):
    """One outer update: weights and buffers by name."""
    inner = copy.deepcopy(outer).train().requires_grad_(True)
    for domain in order:
        rows = [row for row, own in enumerate(batch.domain.tolist()) if own == domain]
        part = batch.take(torch.tensor(rows))
        loss = functional.cross_entropy(inner(part.image, part.place).logits, part.label)
        inner.zero_grad()
        loss.backward()
        with torch.no_grad():
            for value in inner.parameters():
                value -= lr * value.grad
    ended = inner.state_dict()
    return {
        key: value + meta_lr * (ended[key] - value) if value.is_floating_point() else ended[key]
        for key, value in outer.state_dict().items()
    }


@pytest.mark.parametrize(
    "domains", [[0, 0, 0, 1, 3, -1, 0, 9, 3, 3], [2] * 10, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]]
)
def test_one_update(domains, make, make_batch, stepper):
    method = make("fish", meta_lr=0.3).train().double()
    batch = make_batch(10, domains=domains)
    batch = batch._replace(image=batch.image.double())
    present = sorted({domain for domain in domains if domain in (0, 1, 2, 3)})
    torch.manual_seed(5)
    order = [present[k] for k in torch.randperm(len(present))]
    want = literal(method.model, batch, order, 0.1, 0.3)
    torch.manual_seed(5)
    steps = stepper(method)
    answer = method.update(batch, NOW, steps)
    assert steps.applied == ["inner"] * len(present)
    assert answer.total.isfinite()
    for key, value in method.model.state_dict().items():
        torch.testing.assert_close(value, want[key], msg=key)
    assert not any(value.requires_grad for value in method.model.parameters())


def test_the_order_of_domains_is_drawn(make, make_batch, stepper, monkeypatch):
    method = make("fish").train()
    seen = []
    batch = make_batch(8, domains=[0, 0, 1, 1, 2, 2, 3, 3])
    forward = method.inner.forward

    def watched(image, place, **keywords):
        seen.append(place.domain[0].item())
        return forward(image, place, **keywords)

    monkeypatch.setattr(method.inner, "forward", watched)
    for seed in range(6):
        torch.manual_seed(seed)
        method.update(batch, NOW, stepper(method))
    orders = {tuple(seen[k : k + 4]) for k in range(0, 24, 4)}
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(orders) > 2


def test_the_inner_optimiser_keeps_its_moments_from_batch_to_batch(make, make_batch, stepper):
    method = make("fish").train()
    steps, counts = stepper(method, kind=torch.optim.Adam, lr=1e-3), []
    for _ in range(3):
        method.update(make_batch(6, domains=[0, 0, 1, 1, 3, 3]), NOW, steps)
        counts.append(next(iter(steps.optimizers["inner"].state.values()))["step"].item())
    assert counts == [3, 6, 9]


def test_without_a_known_domain_nothing_moves(make, make_batch, stepper):
    method = make("fish").train()
    before = copy.deepcopy(method.model.state_dict())
    steps = stepper(method)
    answer = method.update(make_batch(4, domains=[-1, -1, 8, 8]), NOW, steps)
    assert steps.applied == []
    assert answer.total == 0
    assert all(torch.equal(value, before[key]) for key, value in method.model.state_dict().items())
