"""Routers against the formula in float64, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch

from geomoe.errors import ConfigError
from geomoe.moe import ROUTERS, CosineRouter, LinearRouter, create_router
from geomoe.moe.router import MAX_TEMPERATURE, MIN_TEMPERATURE


def by_hand(logits, k):
    """Gates of each row, one at a time."""
    gates = torch.zeros_like(logits)
    for row, scores in enumerate(logits.tolist()):
        chosen = sorted(range(len(scores)), key=lambda e: -scores[e])[:k]
        total = sum(math.exp(scores[e]) for e in chosen)
        for e in chosen:
            gates[row, e] = math.exp(scores[e]) / total
    return gates


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("top_k", [1, 3, 6])
def test_gates_are_softmax_over_the_top_k(name, top_k):
    router = create_router(name, 8, 6, top_k)
    routing = router(torch.randn(50, 8))
    assert torch.allclose(routing.weights.sum(1), torch.ones(50), atol=1e-6)
    assert ((routing.weights > 0).sum(1) == top_k).all()
    assert torch.allclose(routing.weights, by_hand(routing.logits.double(), top_k).float(), atol=1e-6)
    assert torch.allclose(routing.probs, by_hand(routing.logits.double(), 6).float(), atol=1e-6)
    assert torch.equal(routing.top1, routing.weights.argmax(1))


def test_cosine_logits_equal_the_formula():
    router = CosineRouter(5, 4, 2, temperature=0.2).double()
    x = torch.randn(7, 5, dtype=torch.float64)
    temperature = 0.01 * 100 ** torch.sigmoid(router.raw_temperature).item()
    assert temperature == pytest.approx(0.2, rel=1e-6)
    for row in range(7):
        for e in range(4):
            a, b = x[row].tolist(), router.codebook[e].tolist()
            dot = sum(p * q for p, q in zip(a, b, strict=True))
            cosine = dot / math.sqrt(sum(p * p for p in a)) / math.sqrt(sum(q * q for q in b))
            assert router(x).logits[row, e].item() == pytest.approx(cosine / temperature, rel=1e-9)


def test_cosine_ignores_the_length_of_the_embedding():
    router, x = CosineRouter(8, 6, 3), torch.randn(20, 8)
    assert torch.allclose(router(x).logits, router(37 * x).logits, atol=1e-4)


@pytest.mark.parametrize("start", [0.02, 0.1, 0.9])
def test_temperature_starts_where_told(start):
    assert CosineRouter(4, 4, 1, start).temperature.item() == pytest.approx(start, rel=1e-5)


@pytest.mark.parametrize("raw", [-60.0, 60.0])
def test_temperature_stays_in_its_range(raw):
    router = CosineRouter(4, 4, 1)
    torch.nn.init.constant_(router.raw_temperature, raw)
    temperature = router.temperature.item()
    assert MIN_TEMPERATURE * 0.999 <= temperature <= MAX_TEMPERATURE * 1.001
    assert router(torch.randn(3, 4)).weights.isfinite().all()


@pytest.mark.parametrize("name", ROUTERS)
def test_embedding_of_zeros_is_finite_with_gradients(name):
    router = create_router(name, 8, 6, 3)
    x = torch.zeros(4, 8, requires_grad=True)
    routing = router(x)
    routing.logits.square().sum().add(routing.weights[:, 0].sum()).backward()
    assert routing.weights.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in router.parameters())


@pytest.mark.parametrize("name", ROUTERS)
def test_gates_are_float32_under_autocast(name):
    router, x = create_router(name, 8, 6, 3), torch.randn(20, 8)
    with torch.autocast("cpu", torch.bfloat16):
        under = router(x)
    assert under.logits.dtype == under.weights.dtype == torch.float32
    assert torch.equal(under.logits, router(x).logits)
    assert router.half()(x.half()).logits.dtype == torch.float32


def test_linear_logits_equal_the_formula():
    router, x = LinearRouter(5, 4, 2), torch.randn(7, 5)
    assert torch.allclose(router(x).logits, x @ router.linear.weight.T + router.linear.bias, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosine", 8, 4, 5), r"top_k: expected 1 to num_experts = 4; got 5"),
        (("linear", 8, 4, 0), r"top_k: expected 1 to num_experts = 4; got 0"),
        (("linear", 8, 0, 1), r"num_experts: expected at least 1; got 0"),
        (("cosine", 0, 4, 1), r"dim: .* got 0"),
        (("hash", 8, 4, 1), r"router: expected one of cosine, linear; got 'hash'"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_router(*arguments)


@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0, -1, math.nan])
def test_refuses_a_temperature_out_of_range(temperature):
    with pytest.raises(ConfigError, match="temperature: expected a number strictly between"):
        CosineRouter(4, 4, 1, temperature)
