"""SAGM around other methods: their losses at both points, their buffers moved once; what is refused."""

import copy

import pytest
import torch

from geomoe.algorithms import Now
from geomoe.catalogue import ALGORITHMS, METHODS, WRAPPERS
from geomoe.config import RunConfig
from geomoe.config.rules import find_faults
from geomoe.errors import ConfigError
from tests.algorithms.conftest import BareStepper

NOW = Now(0, 100, 0)


AROUND = ["erm", "groupdro", "coral", "fishr", "moge", "pg_dro", "messi_mmd", "dynmoe"]


@pytest.mark.parametrize("name", AROUND)
def test_one_update_by_hand(name, make, make_batch, stepper):
    inner = make(name).train()
    before, there = copy.deepcopy(inner), copy.deepcopy(inner)
    batch, steps = make_batch(16), None

    def slopes(one):
        torch.manual_seed(4)
        found = torch.autograd.grad(one.losses(batch, NOW).total, list(one.parameters()), allow_unused=True)
        return [torch.zeros_like(v) if s is None else s for v, s in zip(one.parameters(), found, strict=True)]

    first = slopes(before)
    length = sum(slope.double().square().sum() for slope in first).sqrt()
    with torch.no_grad():
        for value, slope in zip(there.parameters(), first, strict=True):
            value += (0.05 / length - 0.001) * slope
    second = slopes(there)
    want = [
        value - 0.1 * (one + other) / 2
        for value, one, other in zip(before.parameters(), first, second, strict=True)
    ]
    method = make("sagm", inner=inner).train()
    steps = stepper(method)
    torch.manual_seed(4)
    answer = method.update(batch, NOW, steps)
    for value, wanted in zip(inner.parameters(), want, strict=True):
        torch.testing.assert_close(value, wanted, rtol=2e-4, atol=2e-6)
    # q of GroupDRO and the like: moved by the first pass, once
    for (key, value), wanted in zip(inner.named_buffers(), before.buffers(), strict=True):
        torch.testing.assert_close(value, wanted, msg=key)
    assert answer.terms.keys() == before.losses(batch, NOW).terms.keys()
    assert "gradient_norm" in answer.notes


@pytest.mark.parametrize("name", ["irm", "fishr"])
def test_the_optimiser_begins_anew_when_the_penalty_does(name, make, make_batch):
    """Adam's first step has the length of the rate in every weight with a gradient; later ones have not."""
    method = make("sagm", inner=make(name, weight=0.0, anneal=2)).train()
    steps, weight = BareStepper(method, torch.optim.Adam, lr=1e-3), method.answering().backbone.head.bias
    for number in range(4):
        before = weight.detach().clone()
        method.update(make_batch(8), Now(number, 100, 0), steps)
        moved = (weight.detach() - before).abs()
        assert torch.allclose(moved, torch.tensor(1e-3), rtol=1e-2) == (number in (0, 2)), number
    assert not method.automatic


def test_it_passes_on_what_it_does_not_change(make, make_batch):
    inner = make("dynmoe", every=1).train()
    method, batch = make("sagm", inner=inner).train(), make_batch(4)
    assert method.answering() is inner.model
    assert not method.automatic
    assert not method.makes_network
    assert not method.accumulates
    inner.losses(batch, NOW)
    method.stepped(Now(1, 100, 0))
    assert not inner.served.any()
    assert torch.equal(method.eval()(batch).logits, inner(batch).logits)


@pytest.mark.parametrize("name", ["dann", "fish", "lfme", "per_region", "gmoe_sagm"])
def test_a_method_with_an_update_of_its_own_is_refused(name, make):
    message = "around: sagm needs a method whose update is one step along the gradient of its losses"
    with pytest.raises(ConfigError, match=message):
        make("sagm", inner=make(name))


def test_the_catalogue_says_which_methods_have_an_update_of_their_own(make):
    entries = {name: METHODS[name] for name in ALGORITHMS}
    assert {name: entry.own_update for name, entry in entries.items()} == {
        name: not make(name).one_step for name in entries
    }


def test_it_goes_inside_swad(make, make_batch):
    with pytest.raises(ConfigError, match="around: sagm goes inside SWAD, not around it; name swad last"):
        make("sagm", inner=make("swad"))


def test_it_is_an_algorithm_and_goes_around_others_but_not_itself():
    assert "sagm" in ALGORITHMS
    assert "sagm" in WRAPPERS
    assert find_faults(RunConfig(algorithm="gmoe", around=("sagm", "swad"))) == []
    (line,) = find_faults(RunConfig(algorithm="sagm", around=("sagm",)))
    assert line == "around: sagm wraps another method, not itself; leave it out of around"
