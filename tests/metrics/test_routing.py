import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from geomoe.errors import InputError
from geomoe.metrics import dead_experts, routing_entropy, routing_load


def gates(n=50, experts=5, top_k=3):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, experts)) * 2
    logits[np.argsort(-logits, axis=1).argsort(axis=1) >= top_k] = -np.inf
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True), rng.random(n)


@pytest.mark.parametrize("weighted", [False, True])
def test_load_equals_the_definition(weighted):
    weights, area = gates()
    area = area if weighted else np.ones(50)
    mean, top1 = np.zeros(5), np.zeros(5)
    for row, share in zip(weights, area, strict=True):
        mean += share * row / area.sum()
        top1[max(range(5), key=lambda k: row[k])] += share / area.sum()
    load = routing_load(weights, area if weighted else None)
    np.testing.assert_allclose(load.mean_weight, mean)
    np.testing.assert_allclose(load.top1_share, top1)
    assert load.top1_share.sum() == pytest.approx(1)


@pytest.mark.parametrize("weighted", [False, True])
def test_entropy_equals_scipy(weighted):
    weights, area = gates()
    area = area if weighted else None
    want = np.average([entropy(row) for row in weights], weights=area)
    got = routing_entropy(torch.tensor(weights), area)
    assert got.nats == pytest.approx(want)
    assert got.normalized == pytest.approx(want / math.log(5))
    assert got.nats < math.log(3)


def test_ends_of_the_range():
    assert routing_entropy(np.eye(4)) == (0.0, 0.0)
    assert routing_entropy(np.full((3, 4), 0.25)) == pytest.approx((math.log(4), 1.0))
    assert routing_entropy(np.ones((3, 1))) == (0.0, 0.0)


def test_dead_experts():
    weights = np.array([[0.5, 0.3, 0.2, 0.0], [0.5, 0.2, 0.2995, 0.0005], [0.5, 0.5, 0.0, 0.0]])
    assert dead_experts(weights) == [3]
    assert dead_experts(weights, threshold=0) == []
    assert dead_experts(weights, [1, 0, 0], threshold=0) == [3]
    assert dead_experts(weights, [0, 0, 1]) == [2, 3]


def test_half_precision_gates():
    weights = torch.softmax(torch.randn(20, 6), dim=1)
    np.testing.assert_allclose(
        routing_load(weights.bfloat16()).mean_weight, weights.mean(dim=0).numpy(), atol=5e-3
    )


BAD = [
    (lambda: routing_load(np.ones(3)), "weights: expected 2 axes"),
    (lambda: routing_load(np.ones((0, 3))), "weights: empty"),
    (lambda: routing_entropy([[0.5, 0.5], [0.5, 0.6]]), r"sum to 1; row 1 has \[0.5, 0.6\]"),
    (lambda: dead_experts([[1.5, -0.5]]), "row 0"),
    (lambda: dead_experts([[math.nan, 1.0]]), "row 0"),
    (lambda: routing_load([[0.5, 0.5]], [1.0, 1.0]), "sample_weight: expected 1 rows"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
