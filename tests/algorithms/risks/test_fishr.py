"""Fishr against its definition: a backward pass for each sample, and the moving average."""

import pytest
import torch

from geomoe.algorithms import Now
from geomoe.errors import ConfigError
from tests.algorithms.reference import DOMAINS, double, losses_of, mean, same_with_gradient


def literal(method, batch, average, ema):
    """The penalty, and the new averages, by loops."""
    output = method.ask(batch)
    head = method.model.backbone.head
    each = losses_of(output.logits, batch.label)
    slopes = [torch.autograd.grad(loss, [head.weight, head.bias], create_graph=True) for loss in each]
    flat = torch.stack([torch.cat([weight.flatten(), bias]) for weight, bias in slopes])
    moved, scaled = average.clone(), []
    for domain in range(4):
        rows = [row for row, own in enumerate(batch.domain.tolist()) if own == domain]
        if len(rows) > 1:
            variance = mean([(flat[row] - flat[rows].mean(dim=0)) ** 2 for row in rows])
            new = ema * average[domain] + (1 - ema) * variance
            moved[domain] = new.detach()
            scaled.append(new / (1 - ema))
    penalty = mean([((one - mean(scaled)) ** 2).mean() for one in scaled]) if scaled else 0
    return mean(each), penalty, moved


@pytest.mark.parametrize("domains", [DOMAINS, [0, 1, 2, 3] * 3, [2] * 12])
def test_loss_gradient_and_averages(domains, make, make_batch):
    method = make("fishr", weight=50.0, anneal=1, ema=0.8).train().double()
    average = torch.zeros_like(method.average)
    for number in range(3):
        batch = double(make_batch(12, domains=domains))
        answer = method.losses(batch, Now(number, 100, 0))
        task, penalty, average = literal(method, batch, average, 0.8)
        torch.testing.assert_close(method.average, average, rtol=1e-9, atol=1e-13)
        want = task + penalty * (50.0 if number else 0.0)
        same_with_gradient(method, answer.total, want)


def test_the_averages_stand_still_outside_training(make, make_batch):
    method = make("fishr").eval()
    method.losses(make_batch(16), Now(0, 100, 0))
    assert method.average.abs().max() == 0


def test_the_optimiser_begins_anew_at_the_jump(make, make_batch, stepper):
    method = make("fishr", anneal=2).train()
    steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
    counts = []
    for number in range(4):
        method.update(make_batch(16), Now(number, 100, 0), steps)
        counts.append(next(iter(steps.optimizers["main"].state.values()))["step"].item())
    assert counts == [1, 2, 1, 2]


def test_a_classifier_that_is_not_linear_is_refused(make, monkeypatch):
    import timm.models.vision_transformer as vit

    def no_classifier(self):
        return torch.nn.Identity()

    monkeypatch.setattr(vit.VisionTransformer, "get_classifier", no_classifier)
    with pytest.raises(ConfigError, match="Fishr needs a classifier of one linear layer; got Identity"):
        make("fishr")
