import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from geomoe.errors import InputError
from geomoe.metrics import dead_experts, normalised_entropy, routing_entropy, routing_load


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
    nats = routing_entropy(torch.tensor(weights), area)
    assert nats == pytest.approx(want)
    assert normalised_entropy(torch.tensor(weights), area) == pytest.approx(want / math.log(5))
    assert nats < math.log(3)


def test_ends_of_the_range():
    for entropy_of in (routing_entropy, normalised_entropy):
        assert str(entropy_of(np.eye(4))) == str(entropy_of(np.ones((3, 1)))) == "0.0"  # never -0.0
    assert routing_entropy(np.full((3, 4), 0.25)) == pytest.approx(math.log(4))
    assert normalised_entropy(np.full((3, 4), 0.25)) == pytest.approx(1)


def test_dead_experts():
    """Less than 5 % of the fair share: of 4 experts below 0.0125, of 10 below 0.005."""
    assert dead_experts([0.5, 0.475, 0.0126, 0.0124]) == [3]
    assert dead_experts(torch.tensor([0.0, 0.5, 0.5, 0.0])) == [0, 3]
    assert dead_experts([1.0]) == []
    # two of four slots are spare: the fair share of the others is 1/2, and a tenth of it is no longer dead
    assert dead_experts([0.97, 0.03, 0, 0]) == [2, 3]
    assert dead_experts([0.97, 0.03, 0, 0], [True, True, False, False]) == []
    assert dead_experts([0.98, 0.02, 0, 0], [True, True, False, False]) == [1]
    with pytest.raises(InputError, match="alive: expected 4 flags; got 2"):
        dead_experts([0.98, 0.02, 0, 0], [True, True])
    rng = np.random.default_rng(0)
    for experts in range(1, 12):
        load = rng.dirichlet(np.full(experts, 0.2))
        assert dead_experts(load) == [k for k in range(experts) if load[k] < 0.05 / experts]


def test_the_training_log_a_report_and_a_map_call_the_same_expert_dead():
    from geomoe.coords import make_grid
    from geomoe.evaluation.experts import routing_stats
    from geomoe.inference import Predictions
    from geomoe.mapping.table import RoutingTable, report_block, verdicts
    from geomoe.training import sums

    for least, dead in ((0.0124, [2]), (0.0126, [])):
        grid, row = make_grid(30.0), np.array([0.5, 0.3, least, 0.2 - least], dtype=np.float32)
        weights = np.tile(row, (1, 72, 1))
        nothing = np.zeros(72, dtype=np.int64)
        predictions = Predictions(
            nothing,
            np.zeros((72, 2)),
            nothing,
            nothing,
            nothing,
            np.zeros((72, 2), dtype=np.float32),
            weights,
        )
        assert list(routing_stats((3,), predictions, ["Asia"])[0].dead) == dead
        means = {f"block3_expert{k}_load": float(load) for k, load in enumerate(row)}
        assert sums.dead_experts(means, 3) == dead
        said = " ".join(verdicts(report_block(RoutingTable(grid, weights, ("block 3",)), 0)))
        assert ("Expert 2 is dead" in said) == bool(dead)


def test_half_precision_gates():
    weights = torch.softmax(torch.randn(20, 6), dim=1)
    np.testing.assert_allclose(
        routing_load(weights.bfloat16()).mean_weight, weights.mean(dim=0).numpy(), atol=5e-3
    )


BAD = [
    (lambda: routing_load(np.ones(3)), "weights: expected 2 axes"),
    (lambda: routing_load(np.ones((0, 3))), "weights: empty"),
    (lambda: routing_entropy([[0.5, 0.5], [0.5, 0.6]]), r"sum to 1; row 1 has \[0.5, 0.6\]"),
    (lambda: dead_experts([[0.5, 0.5]]), "mean_weight: expected 1 axes"),
    (lambda: dead_experts([]), "mean_weight: empty"),
    (lambda: dead_experts([1.5, -0.5]), r"sum to 1; got \[1.5, -0.5\]"),
    (lambda: dead_experts([math.nan, 1.0]), "sum to 1; got"),
    (lambda: normalised_entropy([[1.5, -0.5]]), "row 0"),
    (lambda: routing_load([[0.5, 0.5]], [1.0, 1.0]), "sample_weight: expected 1 row"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
