"""Per-region models: each network against a copy that is trained on its domain's samples alone."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.algorithms import Now
from geomoe.types import Place
from tests.algorithms.conftest import CENTRES, FACTS
from tests.algorithms.reference import DOMAINS, double

NOW = Now(0, 100, 0)


@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_one_update(domains, make, make_batch, stepper):
    method = make("per_region").train().double()
    batch = double(make_batch(12, domains=domains))
    networks, want, losses, stepped = copy.deepcopy(method.model.networks), {}, [], []
    for number, network in enumerate(networks):
        rows = [row for row, own in enumerate(domains) if own == number]
        want[number] = [value.detach() for value in network.parameters()]
        if rows:
            stepped.append(f"region{number}")
            each = cross_entropy(network(batch.image[rows]), batch.label[rows], reduction="none")
            losses += each.tolist()
            slopes = torch.autograd.grad(each.mean(), list(network.parameters()))
            want[number] = [v - 0.1 * s for v, s in zip(want[number], slopes, strict=True)]
    steps = stepper(method)
    answer = method.update(batch, NOW, steps)
    assert steps.applied == stepped
    assert answer.total.item() == pytest.approx(sum(losses) / len(losses))
    for number, weights in want.items():
        for value, wanted in zip(method.model.networks[number].parameters(), weights, strict=True):
            torch.testing.assert_close(value, wanted)


def test_losses_are_those_of_the_update_and_of_known_domains(make, make_batch, stepper):
    method, batch = make("per_region").eval(), make_batch(12, domains=DOMAINS)
    found = method.losses(batch, NOW).total
    torch.testing.assert_close(method.update(batch, NOW, stepper(method, lr=0.0)).total, found.detach())


def test_without_a_known_domain_nothing_is_learned(make, make_batch, stepper):
    method = make("per_region").train()
    before, steps = copy.deepcopy(method.state_dict()), stepper(method)
    answer = method.update(make_batch(4, domains=[-1, -1, 8, 8]), NOW, steps)
    assert steps.applied == []
    assert answer.total == 0
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


def test_networks_begin_differently_and_only_those_with_samples_learn(make):
    method = make("per_region", facts=FACTS._replace(domains=(0, 2), samples=(4, 4), centres=CENTRES[:2]))
    assert list(method.learners()) == ["region0", "region2"]
    one, other = (network.blocks[0].mlp.fc1.weight for network in method.model.networks[:2])
    assert not torch.equal(one, other)


@pytest.mark.parametrize("elsewhere", ["mean", "nearest"])
def test_who_answers(elsewhere, make, make_batch):
    """A domain's own network; elsewhere all of them, or the nearest one of a known place."""
    method = make("per_region", elsewhere=elsewhere).eval()
    batch = make_batch(6, unknown=0, domains=[2, 0, -1, 9, -1, 3])
    lonlat = torch.tensor([[0.0, 0.0]] * 2 + [[110.0, 20.0], [-90.0, 50.0], [torch.nan] * 2, [0.0, 0.0]])
    place = Place.of(lonlat.double(), batch.domain)
    with torch.no_grad():
        output = method.model(batch.image, place)
        each = [network(batch.image) for network in method.model.networks]
        probabilities = torch.stack([one.softmax(dim=1) for one in each]).mean(dim=0)
    want = {0: 2, 1: 0, 5: 3} | ({2: 2, 3: 1} if elsewhere == "nearest" else {})
    for row in range(6):
        if row in want:
            torch.testing.assert_close(output.logits[row], each[want[row]][row])
        else:
            torch.testing.assert_close(output.logits[row].exp(), probabilities[row])


def test_without_places_and_for_no_image(make, make_batch):
    method, batch = make("per_region", elsewhere="nearest").eval(), make_batch(3)
    with torch.no_grad():
        each = torch.stack([network(batch.image).softmax(dim=1) for network in method.model.networks])
        torch.testing.assert_close(method.model(batch.image).logits.exp(), each.mean(dim=0))
        assert method.model(batch.image[:0]).logits.shape == (0, 5)
    method.model.sources.placed.fill_(False)  # no domain has a place: nobody is nearest
    with torch.no_grad():
        torch.testing.assert_close(
            method(batch._replace(place=Place.unknown(3))).logits.exp(), each.mean(dim=0)
        )


@pytest.mark.slow
def test_domains_that_contradict_each_other(make, make_batch, stepper):
    """The sign of a class is the other way round in the second domain: one network cannot have both."""
    domain = torch.arange(48) % 2
    label = (torch.arange(48) // 2) % 2
    sign = (2.0 * label - 1) * (1 - 2.0 * domain)
    batch = make_batch(48, unknown=0, labels=label, domains=domain)
    batch = batch._replace(image=sign[:, None, None, None] + 0.3 * torch.randn(48, 3, 16, 16))
    right = {}
    for name in ("erm", "per_region"):
        method = make(name).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        for _ in range(15):
            method.update(batch, NOW, steps)
        with torch.no_grad():
            right[name] = (method.eval()(batch).logits.argmax(dim=1) == label).float().mean().item()
    assert right["per_region"] > 0.95
    assert right["erm"] < 0.8
