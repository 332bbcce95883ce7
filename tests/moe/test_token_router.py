"""Routers of tokens against loops over tokens in float64: choices, gates, capacity, living experts."""

from __future__ import annotations

import math

import pytest
import torch

from geomoe.errors import ConfigError
from geomoe.moe import CosineTokenRouter, TopAnyRouter
from geomoe.moe.token_router import within_capacity

T, D, E = 23, 11, 5


def cosine(top_k=1, **options):
    torch.manual_seed(0)
    router = CosineTokenRouter(D, E, top_k, projection=7, **{"noise": 1.0} | options).double()
    with torch.no_grad():
        router.log_temperature.fill_(math.log(0.1))
    return router


def scores_of(router, tokens):
    """cos(P h, e_k) / temperature, token by token."""
    rows = []
    for token in tokens:
        place = router.projection.weight @ token + router.projection.bias
        temperature = max(math.exp(router.log_temperature.item()), 0.01)
        found = [place @ code / (place.norm() * code.norm()) / temperature for code in router.codebook]
        rows.append(torch.stack(found))
    return torch.stack(rows)


def literal_choice(noisy, top_k, limit):
    """Gates and choices as Tutel describes them: one rank after the other, tokens by their largest share."""
    shares = noisy.exp() / noisy.exp().sum(dim=1, keepdim=True)
    ranked = [sorted(range(E), key=lambda k, row=row: (-row[k].item(), k))[:top_k] for row in shares]
    served = sorted(range(len(shares)), key=lambda t: (-shares[t].max().item(), t))
    load, gates = [0] * E, [[shares.new_zeros(())] * E for _ in shares]
    chosen = torch.zeros(len(shares), E, dtype=torch.bool)
    for rank in range(top_k):
        for token in served:
            expert = ranked[token][rank]
            if load[expert] < limit:
                total = sum(shares[token][k] for k in ranked[token]) if top_k > 1 else 1
                gates[token][expert] = shares[token][expert] / total
                chosen[token, expert] = True
            load[expert] += 1
    return torch.stack([torch.stack(row) for row in gates]), chosen


@pytest.mark.parametrize("top_k", [1, 2, E])
@pytest.mark.parametrize("capacity", [0.0, 0.5, 1.0, 1.5])
def test_cosine_router_is_a_loop(top_k, capacity):
    router = cosine(top_k, capacity=capacity).train()
    tokens = torch.randn(T, D, dtype=torch.float64)
    torch.manual_seed(3)
    found = router(tokens)
    torch.manual_seed(3)
    scores = scores_of(router, tokens)
    noisy = scores + torch.randn(T, E, dtype=torch.float64) / E
    limit = top_k * int(capacity * math.ceil(T / E)) if capacity else 10**9
    gates, chosen = literal_choice(noisy, top_k, limit)
    torch.testing.assert_close(found.scores, scores)
    torch.testing.assert_close(found.noisy, noisy)
    torch.testing.assert_close(found.weights, gates)
    assert torch.equal(found.chosen, chosen)
    assert torch.equal(found.chosen.sum(dim=0) <= limit, torch.ones(E, dtype=torch.bool))
    missed = tokens[~chosen.any(dim=1)].sum(dim=0)
    torch.testing.assert_close(found.unserved, missed)
    if capacity == 0.5 and top_k == 1:
        assert missed.any()  # a case with tokens over the capacity
    mix = torch.randn(T, E, dtype=torch.float64)
    for weight in (router.projection.weight, router.codebook):
        ours, want = (torch.autograd.grad((one * mix).sum(), weight, retain_graph=True)[0]
                      for one in (found.weights, gates))  # fmt: skip
        torch.testing.assert_close(ours, want, rtol=1e-9, atol=1e-12)


def test_evaluation_has_neither_noise_nor_capacity():
    router, tokens = cosine(1, capacity=0.2).eval(), torch.randn(T, D, dtype=torch.float64)
    found = router(tokens)
    assert torch.equal(found.noisy, found.scores)
    assert found.chosen.sum(dim=1).tolist() == [1] * T
    torch.testing.assert_close(router(tokens[4:5]).weights, found.weights[4:5])


def test_of_equal_scores_the_lower_numbers_come_first():
    router = cosine(2, noise=0.0, capacity=0.0)
    with torch.no_grad():
        router.codebook[:] = router.codebook[0]
    found = router(torch.randn(3, D, dtype=torch.float64))
    assert found.chosen.tolist() == [[True, True, False, False, False]] * 3
    torch.testing.assert_close(found.weights[:, :2], torch.full((3, 2), 0.5, dtype=torch.float64))


def test_of_equally_important_tokens_the_first_is_served():
    ids = torch.zeros(4, 1, dtype=torch.long)
    kept = within_capacity(ids, torch.tensor([0.5, 0.9, 0.5, 0.5]), 2, 2)
    assert kept.flatten().tolist() == [True, True, False, False]
    assert not within_capacity(ids, torch.ones(4), 2, 0).any()


def test_first_choices_are_served_before_second_ones():
    ids = torch.tensor([[0, 1], [1, 0], [0, 1]])
    kept = within_capacity(ids, torch.tensor([0.4, 0.9, 0.5]), 2, 2)
    # expert 0: tokens 2 and 0 by their first choice; expert 1: token 1, then token 2 before token 0
    assert kept.tolist() == [[True, False], [True, False], [True, True]]


def test_the_temperature_has_a_floor():
    router = cosine(1, noise=0.0)
    with torch.no_grad():
        router.log_temperature.fill_(-20.0)
    assert router(torch.randn(9, D, dtype=torch.float64)).scores.abs().max() <= 100


def test_it_computes_in_float32_under_autocast():
    router, tokens = CosineTokenRouter(D, E, noise=0.0, capacity=0.0), torch.randn(T, D)
    want = router(tokens.bfloat16().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = router(tokens.bfloat16())
    assert found.scores.dtype == torch.float32
    torch.testing.assert_close(found.scores, want.scores)


def test_golden_vector():
    """cos = (1, 0.6), temperature 0.5: scores (2, 1.2), largest share 1 / (1 + e^-0.8) = 0.68997."""
    router = CosineTokenRouter(2, 2, projection=2, noise=0.0, capacity=0.0).double()
    with torch.no_grad():
        router.projection.weight.copy_(torch.eye(2))
        router.projection.bias.zero_()
        router.codebook.copy_(torch.tensor([[0.01, 0.0], [0.03, 0.04]]))
    found = router(torch.tensor([[5.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(
        found.scores, torch.tensor([[2.0, 1.2]], dtype=torch.float64), rtol=1e-7, atol=0
    )
    torch.testing.assert_close(
        found.weights, torch.tensor([[0.6899744811, 0.0]], dtype=torch.float64), rtol=1e-7, atol=0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 6}, "top_k: expected 1 to num_experts = 5; got 6"),
        ({"top_k": 0}, "top_k: expected 1 to num_experts = 5; got 0"),
        ({"projection": 0}, "projection: expected at least 1; got 0"),
        ({"noise": -0.1}, "noise: expected 0 or more; got -0.1"),
        ({"capacity": math.nan}, "capacity: expected 0 or more; got nan"),
        ({"dim": 0}, "dim: expected at least 1; got 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ConfigError, match=message):
        CosineTokenRouter(**{"dim": D, "num_experts": E} | options)


# --- top-any ----------------------------------------------------------------------------------------


def top_any(alive=E, seed=0):
    torch.manual_seed(seed)
    router = TopAnyRouter(D, E, alive).double()
    with torch.no_grad():
        router.codebook += 0.3 * torch.randn(E, D, dtype=torch.float64)
        router.threshold += 0.3 * torch.randn(E, dtype=torch.float64)
    return router


def literal_top_any(router, tokens):
    """Gates, token by token; a gate that is 1 has the gradient of sigmoid(cos) - sigmoid(threshold)."""
    rows, training = [], router.training
    for token in tokens:
        values = []
        for expert in range(E):
            code = router.codebook[expert]
            score = torch.sigmoid(token @ code / (token.norm() * code.norm()))
            excess = score - torch.sigmoid(router.threshold[expert])
            on = bool(router.alive[expert]) and excess.item() > 0
            values.append(excess - excess.detach() + 1 if on else excess * 0)
        total = sum(values)
        if total.item() == 0 and not training:
            scores = [(token @ router.codebook[k] / router.codebook[k].norm()).item() for k in range(E)]
            best = max((k for k in range(E) if router.alive[k]), key=lambda k: scores[k])
            values[best] = total = torch.ones_like(total)
        rows.append(torch.stack([value / total if total.item() else value for value in values]))
    return torch.stack(rows)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("alive", [1, 3, E])
def test_top_any_router_is_a_loop(alive, training):
    router = top_any(alive).train(training)
    tokens = torch.randn(T, D, dtype=torch.float64)
    tokens[:2] = -router.codebook.detach()[:alive].sum(dim=0)  # tokens that no expert wants
    found, want = router(tokens), literal_top_any(router, tokens)
    torch.testing.assert_close(found.weights, want)
    assert torch.equal(found.chosen, want > 0)
    assert not found.chosen[:, alive:].any()
    assert found.chosen[:2].any() == (not training)
    torch.testing.assert_close(found.unserved, tokens[~(want > 0).any(dim=1)].sum(dim=0))
    mix = torch.randn(T, E, dtype=torch.float64)
    for weight in (router.codebook, router.threshold):
        ours, literal = (
            torch.autograd.grad((one * mix).sum(), weight, retain_graph=True)[0]
            for one in (found.weights, want)
        )
        torch.testing.assert_close(ours, literal, rtol=1e-9, atol=1e-12)


def test_a_score_equal_to_the_threshold_does_not_activate():
    router = TopAnyRouter(2, 2).double().train()
    with torch.no_grad():
        router.codebook.copy_(torch.eye(2))
    found = router(torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64))  # cos 1, 0; -1, 0
    assert found.chosen.tolist() == [[True, False], [False, False]]
    torch.testing.assert_close(found.unserved, torch.tensor([-1.0, 0.0], dtype=torch.float64))


def test_codes_begin_orthogonal_and_probabilities_are_of_experts_alive():
    router = TopAnyRouter(8, 6, 4)
    torch.testing.assert_close(router.codebook @ router.codebook.T, torch.eye(6), rtol=0, atol=1e-6)
    shares = router.probabilities(router(torch.randn(7, 8)).scores)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(7))
    assert not shares[:, 4:].any()


@pytest.mark.parametrize(
    ("alive", "served", "missed", "after", "revived"),
    [
        ([1, 1, 1, 0, 0], [4, 0, 2, 0, 0], False, [1, 0, 1, 0, 0], None),
        ([1, 1, 1, 0, 0], [4, 0, 2, 0, 0], True, [1, 1, 1, 0, 0], 1),
        ([1, 1, 1, 0, 0], [4, 1, 2, 0, 0], True, [1, 1, 1, 1, 0], 3),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 1], True, [1, 1, 1, 1, 1], None),
        ([1, 0, 1, 0, 0], [0, 0, 0, 0, 0], False, [1, 0, 1, 0, 0], None),
        ([1, 0, 1, 0, 0], [0, 0, 0, 0, 0], True, [1, 1, 1, 0, 0], 1),
    ],
)
def test_experts_come_and_go(alive, served, missed, after, revived):
    router = top_any()
    router.alive.copy_(torch.tensor(alive) > 0)
    codes, thresholds = router.codebook.detach().clone(), router.threshold.detach().clone()
    sums = torch.randn(D, dtype=torch.float64) * missed
    router.adapt(torch.tensor(served), sums)
    assert router.alive.tolist() == [bool(one) for one in after]
    if revived is not None:
        codes[revived], thresholds[revived] = sums / sums.norm(), 0
    torch.testing.assert_close(router.codebook.detach(), codes)
    torch.testing.assert_close(router.threshold.detach(), thresholds)


def test_more_experts_alive_than_slots_are_refused():
    with pytest.raises(ConfigError, match="max_experts: expected at least num_experts = 6; got 5"):
        TopAnyRouter(D, 5, 6)
