"""DANN against its definition, written out: whose turn it is, both losses, and whose weights move."""

import copy

import pytest
import torch
from torch.nn.functional import relu

from geomoe.algorithms import Now


def now(step):
    return Now(step, 100, 0)


def discriminator_loss(method, features, domains):
    """Mean cross-entropy over the samples of known training domains, layer by layer."""
    linear = [layer for layer in method.discriminator if isinstance(layer, torch.nn.Linear)]
    losses = []
    for row, domain in zip(features, domains.tolist(), strict=True):
        if domain not in (0, 1, 2, 3):
            continue
        hidden = row
        for layer in linear[:-1]:
            hidden = relu(layer.weight @ hidden + layer.bias)
        scores = linear[-1].weight @ hidden + linear[-1].bias
        losses.append(-(scores.exp() / scores.exp().sum()).log()[domain])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("depth", [1, 3])
def test_the_networks_loss_and_gradient(depth, make, make_batch):
    method = make("dann", weight=0.3, width=8, depth=depth).train().double()
    batch = make_batch(12, domains=[0, 0, 0, 1, 2, 2, 3, -1, 9, 1, 0, 0])
    batch = batch._replace(image=batch.image.double())
    answer = method.losses(batch, now(1))
    output = method.ask(batch)
    task = method.cross_entropy(output.logits, batch.label)
    want = task - 0.3 * discriminator_loss(method, output.features, batch.domain)
    torch.testing.assert_close(answer.total, want)
    weight = method.model.backbone.blocks[0].mlp.fc1.weight
    got = torch.autograd.grad(answer.total, weight, retain_graph=True)[0]
    torch.testing.assert_close(got, torch.autograd.grad(want, weight)[0])


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_discriminators_step(penalty, make, make_batch, stepper):
    method = make("dann", width=8, penalty=penalty).train().double()
    batch = make_batch(8, domains=[0, 0, 1, 1, 2, 3, -1, 3])
    batch = batch._replace(image=batch.image.double())
    network = copy.deepcopy(method.model.state_dict())
    features = method.ask(batch).features.detach().requires_grad_()
    loss = discriminator_loss(method, features, batch.domain)
    if penalty:
        # the gradient of each sample's own loss by its features; the mean has divided it by the known seven
        slope = torch.autograd.grad(loss, features, create_graph=True)[0] * 7
        loss = loss + penalty * slope.square().sum() / 7
    parameters = list(method.discriminator.parameters())
    want = [p - 0.1 * g for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)]
    steps = stepper(method)
    method.update(batch, now(0), steps)
    assert steps.applied == ["discriminator"]
    for value, wanted in zip(parameters, want, strict=True):
        torch.testing.assert_close(value, wanted)
    for key, value in method.model.state_dict().items():
        assert torch.equal(value, network[key]) or "running" in key or "num_batches" in key, key


def test_turns_follow_from_the_number_of_the_update(make, make_batch, stepper):
    method = make("dann", steps=2).train()
    steps = stepper(method)
    for number in range(7):
        method.update(make_batch(8), now(number), steps)
    want = ["discriminator", "discriminator", "network"] * 2 + ["discriminator"]
    assert steps.applied == want


def test_the_networks_step_leaves_the_discriminator_alone(make, make_batch, stepper):
    method = make("dann").train()
    before = copy.deepcopy(method.discriminator.state_dict())
    steps = stepper(method)
    method.update(make_batch(8), now(1), steps)
    assert steps.applied == ["network"]
    assert all(torch.equal(value, before[key]) for key, value in method.discriminator.state_dict().items())
    assert all(value.grad is None for value in method.discriminator.parameters())


@pytest.mark.long
@pytest.mark.slow
def test_features_forget_the_domain(make, make_batch, stepper):
    """A domain that the pixels give away: the discriminator tells it from ERM's features, not from DANN's."""
    batch = make_batch(64, unknown=0, domains=[0, 1, 2, 3] * 16)
    image = batch.image / 4
    image[:, 0] += batch.domain[:, None, None] - 1.5
    image[:, 1] += (batch.label - 2.0)[:, None, None]
    batch = batch._replace(image=image)
    told = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        method = make("dann", weight=weight, width=64).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=3e-3)
        for number in range(240):
            method.update(batch, now(number), steps)
        with torch.no_grad():
            scores = method.discriminator(method.eval()(batch).features)
        told[weight] = (scores.argmax(dim=1) == batch.domain).float().mean().item()
    assert told[0.0] > 0.5  # of four domains
    assert told[1.0] < told[0.0] - 0.15
