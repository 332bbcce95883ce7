"""SAGM against its definition, written out on copies of the network; what the second pass leaves alone."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.algorithms import Now
from tests.algorithms.reference import double

NOW = Now(0, 100, 0)


def slopes(network, batch):
    loss = cross_entropy(network(batch.image, batch.place).logits, batch.label)
    return torch.autograd.grad(loss, list(network.parameters()))


@pytest.mark.parametrize(("rho", "alpha"), [(0.05, 0.001), (0.5, 0.0), (0.3, 0.2), (0.0, 0.0)])
def test_one_update(rho, alpha, make, make_batch, stepper):
    method = make("sagm", rho=rho, alpha=alpha).train().double()
    batch = double(make_batch(12))
    here = copy.deepcopy(method.model)
    there = copy.deepcopy(method.model)
    first = slopes(here, batch)
    length = sum(slope.square().sum() for slope in first).sqrt()
    with torch.no_grad():
        for value, slope in zip(there.parameters(), first, strict=True):
            value += (rho / length - alpha) * slope
    second = slopes(there, batch)
    pairs = zip(here.parameters(), first, second, strict=True)
    want = [value - 0.1 * (one + other) / 2 for value, one, other in pairs]
    steps = stepper(method)
    answer = method.update(batch, NOW, steps)
    assert steps.applied == ["main"]
    for value, wanted in zip(method.model.parameters(), want, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(answer.notes["gradient_norm"], length)
    # batch norms have seen the first pass, and no second one
    for (key, value), wanted in zip(method.model.named_buffers(), here.buffers(), strict=True):
        torch.testing.assert_close(value, wanted, msg=key)


def test_without_a_step_it_is_erm(make, make_batch, stepper):
    torch.manual_seed(0)
    sagm, erm, batch = make("sagm", rho=0.0, alpha=0.0).train(), make("erm").train(), make_batch(16)
    erm.load_state_dict(sagm.state_dict())
    for method in (sagm, erm):
        method.update(batch, NOW, stepper(method))
    for key, value in erm.state_dict().items():
        torch.testing.assert_close(sagm.state_dict()[key], value, msg=key)


def test_both_passes_draw_the_same_numbers(make, make_batch, stepper, monkeypatch):
    method = make("sagm").train()
    seen = []
    forward = method.model.forward

    def watched(*given, **named):
        seen.append(torch.rand(3))
        return forward(*given, **named)

    monkeypatch.setattr(method.model, "forward", watched)
    steps = stepper(method)
    for seed in (1, 2):
        torch.manual_seed(seed)
        method.update(make_batch(4), NOW, steps)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[0], seen[2])


def test_batch_norms_remember_again_after_an_update(make, make_batch, stepper):
    method = make("sagm").train()
    norms = [m for m in method.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    for count in (1, 2):
        method.update(make_batch(8), NOW, stepper(method))
        assert all(norm.num_batches_tracked == count for norm in norms)
        assert all(norm.track_running_stats for norm in norms)
