"""Layers of experts for tokens against loops over tokens in float64, values and gradients."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Mlp
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.moe import CosineTokenRouter, OrthogonalMoELayer, StackedFFN, TokenMoELayer, TopAnyRouter
from geomoe.moe.token_layer import orthogonal

B, N, D, E = 3, 7, 6, 5


def make(kind, length="own", seed=0):
    torch.manual_seed(seed)
    experts = StackedFFN(Mlp(D, 9), E, noise=0.7)
    if kind == "any":
        return TokenMoELayer(experts, TopAnyRouter(D, E, 4)).double()
    if kind == "orthogonal":
        router = CosineTokenRouter(D, E, 3, projection=4, capacity=0.0)
        return OrthogonalMoELayer(experts, router, length).double()
    return TokenMoELayer(experts, CosineTokenRouter(D, E, 1, projection=4, capacity=0.8)).double()


def expert_of(layer, token, k):
    first, second = layer.experts.first, layer.experts.second
    hidden = functional.gelu(first.weight[k] @ token + first.bias[k])
    return second.weight[k] @ hidden + second.bias[k]


def literal(layer, kind, length, tokens, routing):
    rows = []
    for token, chosen, gates in zip(tokens, routing.chosen, routing.weights, strict=True):
        y, basis = torch.zeros_like(token), []
        for k in [k for k in range(E) if chosen[k]]:
            out = expert_of(layer, token, k)
            if kind == "orthogonal":
                new = out - sum((other @ out) * other for other in basis)
                basis.append(new / new.norm())
                out = basis[-1] * out.norm() if length == "own" else basis[-1]
            y = y + gates[k] * out
        rows.append(y)
    return torch.stack(rows)


KINDS = [("one", "own"), ("any", "own"), ("orthogonal", "own"), ("orthogonal", "unit")]


@pytest.mark.parametrize(("kind", "length"), KINDS)
def test_values_and_gradients_are_those_of_a_loop(kind, length):
    layer = make(kind, length).train()
    x = torch.randn(B, N, D, dtype=torch.float64, requires_grad=True)
    found = layer(x)
    want = literal(layer, kind, length, x.flatten(0, 1), found.tokens).view(B, N, D)
    assert len(set(found.tokens.chosen.sum(dim=0).tolist())) > 1  # unequal loads
    torch.testing.assert_close(found.y, want, rtol=1e-10, atol=1e-12)
    mix = torch.randn_like(want)
    weights = [x, *layer.parameters()]
    ours, literals = (
        torch.autograd.grad((y * mix).sum(), weights, retain_graph=True, allow_unused=True)
        for y in (found.y, want)
    )
    for one, other in zip(ours, literals, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_an_expert_without_tokens_and_tokens_without_expert():
    layer = make("any").train()
    with torch.no_grad():
        layer.router.threshold[:] = torch.tensor([9.0, -9.0, 9.0, 9.0, 9.0])  # only expert 1 is wanted
    x = torch.randn(1, N, D, dtype=torch.float64)
    found = layer(x)
    torch.testing.assert_close(found.y[0], layer.experts.alone(x[0], 1))
    found.y.sum().backward()
    assert all(value.grad is not None for value in layer.experts.parameters())
    with torch.no_grad():
        layer.router.threshold[1] = 9.0
    lost = layer(x)
    assert not lost.y.any()
    torch.testing.assert_close(lost.tokens.unserved, x[0].sum(dim=0))
    torch.testing.assert_close(lost.routing.weights, lost.routing.probs)  # an image of unserved tokens


def test_routing_of_images_is_the_mean_over_their_tokens():
    layer, x = make("one").eval(), torch.randn(B, N, D, dtype=torch.float64)
    found = layer(x)
    probs = found.tokens.scores.softmax(dim=1).view(B, N, E)
    gates = found.tokens.weights.view(B, N, E).sum(dim=1)
    torch.testing.assert_close(found.routing.probs, probs.mean(dim=1))
    torch.testing.assert_close(found.routing.weights, gates / gates.sum(dim=1, keepdim=True))
    torch.testing.assert_close(found.routing.logits.softmax(dim=1), found.routing.probs)


@pytest.mark.parametrize(("kind", "length"), KINDS)
def test_a_forced_expert_has_the_weight_of_the_chosen_ones(kind, length):
    layer, x = make(kind, length).eval(), torch.randn(B, N, D, dtype=torch.float64)
    found = layer(x, experts=2)
    own = layer.experts.alone(x.flatten(0, 1), 2)
    if length == "unit":
        own = own / own.norm(dim=1, keepdim=True)
    want = own * found.tokens.weights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(found.y, want.view(B, N, D))


def test_every_expert_on_the_same_tokens():
    layer, x = make("one").eval(), torch.randn(B, N, D, dtype=torch.float64)
    every = layer(x, cka_tokens=0).expert_outputs
    torch.testing.assert_close(every, layer.experts.everywhere(x.flatten(0, 1)))
    assert layer(x, cka_tokens=2).expert_outputs.shape == (E, 2 * B, D)
    assert layer(x).expert_outputs is None


def test_orthogonal_vectors():
    vectors = torch.randn(9, 4, 6, dtype=torch.float64)
    unit = orthogonal(vectors, "unit")
    torch.testing.assert_close(unit @ unit.mT, torch.eye(4, dtype=torch.float64).expand(9, 4, 4))
    own = orthogonal(vectors)
    torch.testing.assert_close(own.norm(dim=2), vectors.norm(dim=2))
    torch.testing.assert_close(own[:, 0], vectors[:, 0])


def test_golden_vector():
    """(3, 4), (2, 0): q1 = (.6, .8); w2 = (2, 0) - 1.2 q1 = (1.28, -.96), length 1.6: q2 = (.8, -.6)."""
    found = orthogonal(torch.tensor([[[3.0, 4.0], [2.0, 0.0]]], dtype=torch.float64), "unit")
    torch.testing.assert_close(found, torch.tensor([[[0.6, 0.8], [0.8, -0.6]]], dtype=torch.float64))


def test_vectors_that_depend_on_one_another_have_finite_gradients():
    vectors = torch.randn(2, 1, 6).repeat(1, 3, 1)
    vectors[1] = 0
    vectors.requires_grad_()
    for length in ("own", "unit"):
        found = orthogonal(vectors, length)
        assert found[:, 1:].abs().max() < 0.05
        assert torch.autograd.grad(found.sum(), vectors)[0].isfinite().all()


def test_refusals():
    experts = StackedFFN(Mlp(D, 9), E)
    with pytest.raises(ConfigError, match="router: made for 4 experts; the layer has 5"):
        TokenMoELayer(experts, TopAnyRouter(D, 4))
    for options in ({"top_k": 1, "capacity": 0.0}, {"top_k": 2, "capacity": 1.5}):
        with pytest.raises(ConfigError, match="top_k: orthogonal experts need at least 2 for each token"):
            OrthogonalMoELayer(experts, CosineTokenRouter(D, E, **options))
    with pytest.raises(ConfigError, match="length: expected own or unit; got 'long'"):
        OrthogonalMoELayer(experts, CosineTokenRouter(D, E, 2, capacity=0.0), "long")
