"""RDM against its definition, by loops over pairs of losses."""

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import DOMAINS, by_domain, double, losses_of, mean, same_with_gradient

SCALES = [10.0**power for power in range(-4, 4)]


def kernel(one, other):
    return mean([sum(torch.exp(-g * (a - b) ** 2) for g in SCALES) for a in one for b in other])


def variance(values):
    if len(values) == 1:
        return 0
    return sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1)


@pytest.mark.parametrize("step", [0, 4, 5, 9])
@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_loss_and_gradient(domains, step, make, make_batch):
    method = make("rdm", weight=3.0, variance=0.2, anneal=5).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, Now(step, 100, 0))
    losses = losses_of(method.ask(batch).logits, batch.label)
    groups = [[losses[row] for row in rows] for rows in by_domain(domains)]
    want = mean([mean(group) for group in groups])
    if step >= 5:
        worst = max(groups, key=lambda group: mean(group).item())
        every = [loss for group in groups for loss in group]
        apart = kernel(worst, worst) + kernel(every, every) - 2 * kernel(worst, every)
        want = want + 3 * apart + 0.2 * (variance(worst) + variance(every))
    assert step >= 5 or answer.terms["rdm"] == answer.terms["rdm_variance"] == 0
    same_with_gradient(method, answer.total, want)


def test_terms_have_the_same_names_before_the_jump_and_after(make, make_batch):
    """An epoch sums them up by name, and the jump may be within one."""
    method, batch = make("rdm", anneal=5), make_batch(12)
    early, late = (method.losses(batch, Now(step, 100, 0)) for step in (4, 5))
    assert list(early.terms) == list(late.terms)
    assert list(early.notes) == list(late.notes)


def test_the_optimiser_begins_anew_at_the_jump(make, make_batch, stepper):
    method = make("rdm", anneal=2).train()
    steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
    counts = []
    for number in range(4):
        method.update(make_batch(16), Now(number, 100, 0), steps)
        counts.append(next(iter(steps.optimizers["main"].state.values()))["step"].item())
    assert counts == [1, 2, 1, 2]


@pytest.mark.long
@pytest.mark.slow
def test_losses_of_domains_become_alike(make, make_batch, stepper):
    """A domain half of whose labels are noise, and which an image gives away: its losses are others."""

    def fresh():
        batch = make_batch(80, unknown=0, domains=[0, 1, 2, 3] * 20)
        noisy = (batch.domain == 3) & (torch.rand(80) < 0.5)
        image = batch.image / 4 + (batch.label - 2.0)[:, None, None, None]
        image[:, 1] = (batch.domain == 3).float()[:, None, None]
        return batch._replace(image=image, label=torch.where(noisy, torch.randint(5, (80,)), batch.label))

    apart = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        method = make("rdm", weight=weight, variance=0.0, anneal=40).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        notes = [method.update(fresh(), Now(number, 100, 0), steps).notes for number in range(100)]
        apart[weight] = sum(note["loss_mmd"].item() for note in notes[-30:]) / 30
    assert apart[1.0] < 0.7 * apart[0.0], apart
