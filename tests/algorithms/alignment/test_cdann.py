"""CDANN against its definition: the class in the discriminator's input, and the balance over classes."""

import copy

import pytest
import torch
from torch.nn.functional import relu

from geomoe.algorithms import Now
from tests.algorithms.reference import DOMAINS, double, same_with_gradient


def discriminator_losses(method, features, batch):
    """Cross-entropies of samples of known domains, layer by layer; None for the others."""
    inner = method.discriminator
    linear = [layer for layer in inner.discriminator if isinstance(layer, torch.nn.Linear)]
    for row, label, domain in zip(features, batch.label, batch.domain.tolist(), strict=True):
        hidden = row + inner.classes.weight[label]
        for layer in linear[:-1]:
            hidden = relu(layer.weight @ hidden + layer.bias)
        scores = linear[-1].weight @ hidden + linear[-1].bias
        yield -(scores.exp() / scores.exp().sum()).log()[domain] if domain in range(4) else None


def balanced(method, features, batch):
    found = {}
    each = discriminator_losses(method, features, batch)
    for loss, label in zip(each, batch.label.tolist(), strict=True):
        if loss is not None:
            found.setdefault(label, []).append(loss)
    return sum(sum(losses) / len(losses) for losses in found.values()) / len(found)


LABELS = [0, 0, 0, 0, 0, 3, 3, 3, 1, 4, 2, 4]  # class 2 has no sample of a known domain


def test_the_networks_loss_and_gradient(make, make_batch):
    method = make("cdann", weight=0.3, width=8).train().double()
    batch = double(make_batch(12, domains=DOMAINS, labels=LABELS))
    answer = method.losses(batch, Now(1, 100, 0))
    output = method.ask(batch)
    task = method.cross_entropy(output.logits, batch.label)
    want = task - 0.3 * balanced(method, output.features, batch)
    same_with_gradient(method, answer.total, want)


@pytest.mark.parametrize("domains", [[0, 0, 1, 1, 2, 3] * 2, DOMAINS])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_discriminators_step(penalty, domains, make, make_batch, stepper):
    method = make("cdann", width=8, penalty=penalty).train().double()
    batch = double(make_batch(12, domains=domains, labels=LABELS))
    network = copy.deepcopy(dict(method.model.named_parameters()))
    features = method.ask(batch).features.detach().requires_grad_()
    loss = balanced(method, features, batch)
    if penalty:
        each = [one for one in discriminator_losses(method, features, batch) if one is not None]
        (slope,) = torch.autograd.grad(sum(each), features, create_graph=True)
        loss = loss + penalty * slope.square().sum() / len(each)
    parameters = list(method.discriminator.parameters())
    want = [p - 0.1 * g for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)]
    steps = stepper(method)
    method.update(batch, Now(0, 100, 0), steps)
    assert steps.applied == ["discriminator"]
    for value, wanted in zip(parameters, want, strict=True):
        torch.testing.assert_close(value, wanted)
    assert all(torch.equal(value, network[key]) for key, value in method.model.named_parameters())


def test_turns_and_learners_are_those_of_dann(make, make_batch, stepper):
    method = make("cdann", steps=2).train()
    assert set(method.learners()) == {"network", "discriminator"}
    steps = stepper(method)
    for number in range(4):
        method.update(make_batch(8), Now(number, 100, 0), steps)
    assert steps.applied == ["discriminator", "discriminator", "network", "discriminator"]
