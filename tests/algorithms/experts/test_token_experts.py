"""GMoE, OMoE, DynMoE and GMoE with SAGM: losses and updates against their definitions, in float64."""

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.algorithms import Now
from geomoe.errors import ConfigError
from tests.algorithms.reference import double

NOW = Now(0, 100, 0)
QUIET = {"dropout": 0.0}


def same_with_gradients(method, found, want):
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-12)
    weights = [value for value in method.parameters() if value.requires_grad]
    ours, literal = (
        torch.autograd.grad(one, weights, retain_graph=True, allow_unused=True) for one in (found, want)
    )
    for one, other in zip(ours, literal, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-11)


def variation(load):
    mean = sum(load) / len(load)
    return sum((one - mean) ** 2 for one in load) / (len(load) - 1) / (mean**2 + 1e-10)


@pytest.mark.parametrize("load", ["scores", "code"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_gmoe(load, top_k, make, make_batch):
    method = make("gmoe", load=load, top_k=top_k, aux=0.7, noise=0.5, **QUIET).train().double()
    answer = method.losses(double(make_batch(9)), NOW)
    want = 0
    for routing in answer.output.token_routings:
        experts = routing.scores.shape[1]
        shares = [row.exp() / row.exp().sum() for row in routing.scores]
        last = [sorted(row, key=lambda v: -v.item())[top_k - 1] for row in routing.noisy]
        compared = shares if load == "code" else routing.scores
        std = 0.5 / experts
        loads = [
            sum(
                (1 + torch.erf((row[k] - edge) / std / math.sqrt(2))) / 2
                for row, edge in zip(compared, last, strict=True)
            )
            for k in range(experts)
        ]
        importance = [sum(row[k] for row in shares) for k in range(experts)]
        want = want + (variation(importance) + variation(loads)) / 2
    assert answer.terms.keys() == {"task", "aux"}
    same_with_gradients(method, answer.terms["aux"], 0.7 * want)
    assert 0 < answer.notes["served"] <= 1


def test_omoe(make, make_batch):
    method = make("omoe", aux=0.7, **QUIET).train().double()
    answer = method.losses(double(make_batch(9)), NOW)
    want = 0.0
    for routing in answer.output.token_routings:
        assert routing.chosen.sum(dim=1).unique().tolist() == [2]
        want = want + variation([sum(row[k] for row in routing.weights) for k in range(4)])
    same_with_gradients(method, answer.terms["aux"], 0.7 * want)


@pytest.mark.parametrize("name", ["gmoe", "omoe", "dynmoe"])
def test_a_term_of_weight_0_is_not_computed(name, make, make_batch):
    method, batch = make(name, aux=0.0, **QUIET).eval(), make_batch(8)
    answer = method.losses(batch, NOW)
    assert answer.terms.keys() == {"task"}
    torch.testing.assert_close(answer.total, cross_entropy(method(batch).logits, batch.label))


def test_dynmoe(make, make_batch):
    method = make("dynmoe", aux=0.7, every=2, **QUIET).train().double()
    batch, served, sums = double(make_batch(9)), 0, 0
    with torch.no_grad():
        for router in method.routers():
            router.codebook += 0.3 * torch.randn_like(router.codebook)  # they begin orthogonal, of length 1
    for step in range(2):
        answer = method.losses(batch, NOW)
        routings = answer.output.token_routings
        served = served + torch.stack([one.chosen.sum(dim=0).double() for one in routings])
        sums = sums + torch.stack([one.unserved for one in routings])
        torch.testing.assert_close(method.served, served)
        torch.testing.assert_close(method.unserved, sums)
        want = 0
        for router in method.routers():
            codes = router.codebook[:4]  # those alive
            square = sum(
                (codes[i] @ codes[j] / codes[i].norm() / codes[j].norm()) ** 2
                for i in range(4)
                for j in range(4)
                if i != j
            )
            want = want + square.sqrt() + sum(code.norm() for code in codes) / 4
        same_with_gradients(method, answer.terms["aux"], 0.7 * want)
        assert answer.notes["experts_alive"] == 4
        if step == 0:
            method.stepped(Now(1, 100, 0))
            assert method.served.any()
    method.unserved[0] = 0
    method.unserved[1] = torch.arange(64) + 1.0
    method.served[0, 2] = 0
    method.stepped(Now(2, 100, 0))
    first, second = method.routers()
    assert first.alive.tolist() == [True, True, False, True, *[False] * 4]
    assert second.alive.tolist() == [*[True] * 5, *[False] * 3]
    direction = torch.arange(64).double() + 1
    torch.testing.assert_close(second.codebook[4].detach(), direction / direction.norm())
    assert not method.served.any()
    assert not method.unserved.any()


def test_dynmoe_counts_in_training_alone_and_never_changes_with_every_0(make, make_batch):
    method, batch = make("dynmoe").eval(), make_batch(8)
    method.losses(batch, NOW)
    assert not method.served.any()
    fixed = make("dynmoe", every=0).train()
    fixed.losses(batch, NOW)
    fixed.stepped(Now(100, 100, 0))
    assert not fixed.served.any()
    assert [router.alive.sum().item() for router in fixed.routers()] == [4, 4]


def test_dynmoe_needs_its_own_routers(make):
    with pytest.raises(ConfigError, match="DynMoE: needs top-any routers of 8 experts; got PlainNetwork"):
        make("dynmoe", network="plain")


def test_dynmoe_goes_on_through_a_change_of_experts(make, make_batch, stepper):
    """Experts change at update 3; the run is cut at update 2, between two changes."""
    batches = [make_batch(8) for _ in range(5)]

    def run(method, steps, numbers):
        for number in numbers:
            torch.manual_seed(number)
            method.update(batches[number], Now(number, 9, 0), steps)
            method.stepped(Now(number + 1, 9, 0))

    whole = make("dynmoe", every=3).train()
    with torch.no_grad():
        whole.routers()[0].threshold[1:3] = 20.0  # no token wants these experts
    cut = copy.deepcopy(whole)
    run(whole, stepper(whole), range(5))
    run(cut, stepper(cut), range(2))
    again = make("dynmoe", every=3).train()
    again.load_state_dict(cut.state_dict())
    run(again, stepper(again), range(2, 5))
    assert not whole.routers()[0].alive[2]  # the lower one may have been revived
    for key, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_gmoe_sagm_is_sagm_around_gmoe(make, make_batch, stepper):
    named = make("gmoe_sagm", rho=0.3).train().double()
    inner = make("gmoe").train().double()
    inner.load_state_dict(named.state_dict())
    around = make("sagm", rho=0.3, inner=inner).train()
    batch = double(make_batch(9))
    for method in (named, around):
        torch.manual_seed(4)
        method.update(batch, NOW, stepper(method))
    for key, value in named.state_dict().items():
        torch.testing.assert_close(inner.state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_gmoe_sagm_by_hand(make, make_batch, stepper):
    method = make("gmoe_sagm", rho=0.2, alpha=0.01).train().double()
    batch, here = double(make_batch(9)), copy.deepcopy(method)

    def slopes(one):
        torch.manual_seed(4)
        return torch.autograd.grad(one.losses(batch, NOW).total, list(one.parameters()))

    first = slopes(here)
    length = sum(slope.square().sum() for slope in first).sqrt()
    there = copy.deepcopy(method)
    with torch.no_grad():
        for value, slope in zip(there.parameters(), first, strict=True):
            value += (0.2 / length - 0.01) * slope
    pairs = zip(here.parameters(), first, slopes(there), strict=True)
    want = [value - 0.1 * (one + other) / 2 for value, one, other in pairs]
    torch.manual_seed(4)
    method.update(batch, NOW, stepper(method))
    for value, wanted in zip(method.parameters(), want, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-8, atol=1e-11)
