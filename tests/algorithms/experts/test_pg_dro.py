"""PG-DRO against its definition: loops over samples, groups and blocks, with the routers' gate weights."""

import math

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import double, losses_of

NOW = Now(0, 100, 0)
PLAIN = {"cka": 0.0, "aux": 0.0, "supcon": 0.0}


def literal(output, labels, q, eta, adjustment, samples):
    """Loss and new weights of every block."""
    losses, found, moved = losses_of(output.logits, labels), [], []
    for routing, weights in zip(output.routings, q, strict=True):
        gates = routing.weights.detach().tolist()
        risks, grown = [], []
        for group, weight in enumerate(weights):
            mass = sum(row[group] for row in gates)
            pairs = zip(gates, losses, strict=True)
            risk = sum(row[group] * loss for row, loss in pairs) / mass if mass else 0 * losses[0]
            extra = adjustment / math.sqrt(max(samples * mass / len(gates), 1)) if mass else 0
            risks.append(risk)
            grown.append(weight * math.exp(eta * (risk.item() + extra)))
        moved.append([one / sum(grown) for one in grown])
        found.append(sum(one * risk for one, risk in zip(moved[-1], risks, strict=True)))
    return sum(found) / len(found), moved


@pytest.mark.parametrize("adjustment", [0.0, 2.0])
@pytest.mark.parametrize("unknown", [0, 2, 12])
def test_loss_gradient_and_weights(unknown, adjustment, make, make_batch):
    method = make("pg_dro", eta=0.7, adjustment=adjustment, **PLAIN).train().double()
    q = [[0.25] * 4] * 2
    for _ in range(3):
        batch = double(make_batch(12, unknown=unknown))
        answer = method.losses(batch, NOW)
        output = method.ask(batch)
        want, q = literal(output, batch.label, q, 0.7, adjustment, 100)
        torch.testing.assert_close(answer.total, want, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(method.q.tolist(), q, rtol=1e-10, atol=1e-12)
        leaves = [value for value in method.parameters() if value.requires_grad]
        slopes = [
            torch.autograd.grad(v, leaves, allow_unused=True, materialize_grads=True)
            for v in (answer.total, want)
        ]
        for one, other in zip(*slopes, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


def test_the_other_terms_are_those_of_moge(make, make_batch):
    options = {"aux": 0.3, "supcon": 0.2, "cka": 0.0}
    method, moge = make("pg_dro", **options).train(), make("moge", **options).train()
    moge.model.load_state_dict(method.model.state_dict())
    batch = make_batch(16)
    found, want = (one.losses(batch, NOW).terms for one in (method, moge))
    assert found.keys() == want.keys() == {"task", "aux", "supcon"}
    for name in ("aux", "supcon"):
        torch.testing.assert_close(found[name], want[name])


def test_no_router_gets_a_gradient_of_its_groups_weights(make, make_batch):
    """p is fixed: with gamma 1 routers have no say in the logits. (A gate of top-1 is 1, whatever p is.)"""
    network = {"top_k": 2, "gamma": 1.0}
    method = make("pg_dro", network, **PLAIN).train()
    answer = method.losses(make_batch(16, unknown=0), NOW)
    routers = [value for name, value in method.named_parameters() if "router" in name]
    assert routers
    for slope in torch.autograd.grad(answer.total, routers, allow_unused=True):
        assert slope is None or slope.abs().max() == 0


def test_a_bad_group_gains_weight_and_an_empty_one_loses_it(make, make_batch):
    method, batch = make("pg_dro", {"top_k": 1}, eta=1.0, **PLAIN).train(), make_batch(16, unknown=0)
    output = method.losses(batch, NOW).output
    for routing, q in zip(output.routings, method.q, strict=True):
        mass = routing.weights.sum(dim=0)
        if (mass == 0).any():
            assert q[mass == 0].max() < q[mass > 0].min()
        assert q.sum().item() == pytest.approx(1)


def test_weights_stand_still_outside_training(make, make_batch):
    method = make("pg_dro").eval()
    method.losses(make_batch(8), NOW)
    assert (method.q == 0.25).all()


def test_equal_groups_are_erm(make, make_batch):
    """One expert: one group, whose risk is the mean cross-entropy."""
    method = make("pg_dro", {"num_experts": 2, "top_k": 2}, eta=0.0, **PLAIN).train()
    with torch.no_grad():
        for name, value in method.named_parameters():
            if "router" in name and value.ndim == 2:
                value.copy_(value[:1].expand_as(value))  # the same scores for both experts
    batch = make_batch(16, unknown=0)
    answer = method.losses(batch, NOW)
    torch.testing.assert_close(
        answer.total, method.cross_entropy(answer.output.logits, batch.label), rtol=1e-4, atol=1e-4
    )
