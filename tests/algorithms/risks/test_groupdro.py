"""GroupDRO against its definition, written out in float64."""

import math

import pytest
import torch

from geomoe.types import Batch, Place

DOMAINS = [0, 0, 0, 0, 0, 1, 1, 3, -1, 3, 0, -1]  # unequal; 2 is missing; 1 has two samples
NONE = [-1, -1, 9]


def literal(logits, labels, domains, q, eta, when):
    """Loss and new weights by loops over samples and domains (Sagawa et al., algorithm 1)."""
    losses = [-(row.exp() / row.exp().sum()).log()[label] for row, label in zip(logits, labels, strict=True)]
    risks = []
    for domain in range(len(q)):
        mine = [loss for loss, own in zip(losses, domains, strict=True) if own == domain]
        risks.append(sum(mine) / len(mine) if mine else logits.sum() * 0)
    grown = [weight * math.exp(eta * risk.item()) for weight, risk in zip(q, risks, strict=True)]
    moved = [weight / sum(grown) for weight in grown]
    used = moved if when == "before" else q
    return sum(weight * risk for weight, risk in zip(used, risks, strict=True)), moved


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("domains", [DOMAINS, [0] * 12, NONE * 4, [0, 1, 2, 3] * 3])
def test_loss_gradient_and_weights(when, domains, make, make_batch):
    method = make("groupdro", eta=0.7, q=when).train().double()
    q = [0.25] * 4
    for _ in range(3):
        batch = make_batch(12, domains=domains)
        batch = batch._replace(image=batch.image.double())
        logits = method.ask(batch).logits
        answer = method.losses(batch, None)
        want, q = literal(logits, batch.label, domains, q, 0.7, when)
        torch.testing.assert_close(answer.total, want, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(method.q.tolist(), q)
        head = method.model.backbone.head.weight
        got = torch.autograd.grad(answer.total, head, retain_graph=True)[0]
        torch.testing.assert_close(got, torch.autograd.grad(want, head)[0], rtol=1e-9, atol=1e-12)


def test_a_missing_domain_loses_share_and_a_bad_one_gains(make, make_batch):
    method = make("groupdro", eta=1.0).train()
    method.losses(make_batch(6, domains=[0, 0, 1, 1, 1, 1]), None)
    assert method.q[2] == method.q[3] < 0.25 < min(method.q[0], method.q[1])
    assert method.q.sum() == pytest.approx(1)


def test_weights_stand_still_outside_training(make, make_batch):
    method = make("groupdro").eval()
    method.losses(make_batch(8), None)
    assert method.q.tolist() == [0.25] * 4


@pytest.mark.slow
def test_the_worst_domain_is_helped(make, make_batch, stepper):
    """A domain of 4 among 60 samples contradicts the others: ERM gives it up, GroupDRO less so."""
    domains = [0] * 28 + [1] * 28 + [2] * 4
    batch = make_batch(60, unknown=0, domains=domains)
    sign = torch.where(torch.tensor(domains) == 2, -1.0, 1.0)
    label = torch.arange(60) % 2
    image = (label * 2 - 1.0)[:, None, None, None] * sign[:, None, None, None] * torch.ones(60, 3, 16, 16)
    mark = torch.where(torch.tensor(domains) == 2, 0.15, 0.0)[:, None, None]
    image[:, 2] = mark
    batch = batch._replace(image=image + 0.3 * torch.randn(60, 3, 16, 16), label=label)
    worst = {}
    for name, options in {"erm": {}, "groupdro": {"eta": 1.0}}.items():
        torch.manual_seed(0)
        method = make(name, **options).train()
        steps = stepper(method, lr=0.02)
        for _ in range(40):
            method.update(batch, None, steps)
        with torch.no_grad():
            each = method.cross_entropy(method.eval()(batch).logits, batch.label, "none")
        worst[name] = each[-4:].mean().item()
    assert worst["groupdro"] < 0.8 * worst["erm"]


def contradicted(*counts):
    """Two classes told by brightness; in the last domain, which has a faint mark, the other way round."""
    domain = torch.tensor([number for number, count in enumerate(counts) for _ in range(count)])
    last, label = domain == len(counts) - 1, torch.arange(len(domain)) % 2
    image = ((2.0 * label - 1) * torch.where(last, -1, 1))[:, None, None, None].repeat(1, 3, 16, 16)
    image[:, 2] = torch.where(last, 0.3, 0.0)[:, None, None]
    image = image + 0.3 * torch.randn_like(image)
    return Batch(image, label, Place.unknown(len(domain))._replace(domain=domain), torch.arange(len(domain)))


@pytest.mark.slow
def test_a_domain_that_erm_gives_up_is_told_right(make, stepper):
    """Two of 96 images are of the last domain: ERM gets (nearly) all of it wrong, GroupDRO (nearly) none."""
    right = {}
    for name, options in {"erm": {}, "groupdro": {"eta": 0.3}}.items():
        torch.manual_seed(0)
        method = make(name, **options).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        for _ in range(30):
            method.update(contradicted(47, 47, 2), None, steps)
        batch = contradicted(200, 200, 200)
        with torch.no_grad():
            found = (method.eval()(batch).logits.argmax(dim=1) == batch.label).float()
        right[name] = [found[batch.domain == number].mean().item() for number in range(3)]
    assert min(right["erm"][:2]) > 0.9, right
    assert right["erm"][2] < 0.3, right
    assert min(right["groupdro"]) > 0.9, right
