"""Epoch sums and region metrics against the same numbers computed plainly, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from geomoe import metrics
from geomoe.training.sums import EpochSums, dead_experts
from geomoe.training.validation import RegionMetrics
from geomoe.types import LossTerms, Routing

E = 4


def _batch(samples, blocks=2):
    terms = {"task": torch.rand(()), "aux": torch.rand(())}
    routings = []
    for _ in range(blocks):
        logits = torch.randn(samples, E)
        values, chosen = logits.topk(2)
        weights = torch.zeros(samples, E).scatter(1, chosen, values.softmax(dim=1))
        routings.append(Routing(weights, logits.softmax(dim=1), logits))
    return LossTerms(sum(terms.values()), terms), routings, samples


def _plain(batches):
    """Every mean, by a loop over samples."""
    means, samples = {}, sum(n for _, _, n in batches)
    for name in ("task", "aux"):
        means[f"train_{name}"] = sum(float(terms.named[name]) * n for terms, _, n in batches) / samples
    means["train_loss"] = sum(float(terms.total) * n for terms, _, n in batches) / samples
    for position, block in enumerate((8, 10)):
        gates = [routings[position].weights.double().numpy() for _, routings, _ in batches]
        load = np.concatenate(gates).sum(axis=0)
        means[f"block{block}_entropy"] = metrics.normalised_entropy(np.concatenate(gates))
        means |= {f"block{block}_expert{k}_load": load[k] / samples for k in range(E)}
    return means


def test_means_are_those_of_a_plain_loop():
    batches, sums = [_batch(5), _batch(3), _batch(5)], EpochSums()
    for batch in batches:
        sums.update(*batch)
    assert sums.results(sums.tensors(), [8, 10]) == pytest.approx(_plain(batches), rel=1e-6)


def test_sums_go_on_from_a_checkpoint_to_the_last_bit():
    batches = [_batch(4) for _ in range(6)]
    whole, before, after = EpochSums(), EpochSums(), EpochSums()
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:2]:
        before.update(*batch)
    after.load(before.state(before.tensors()), torch.device("cpu"))
    for batch in batches[2:]:
        after.update(*batch)
    assert after.results(after.tensors(), [8, 10]) == whole.results(whole.tensors(), [8, 10])


def test_sums_of_two_processes_add_up():
    batches, one, two = [_batch(4), _batch(2)], EpochSums(), EpochSums()
    one.update(*batches[0])
    two.update(*batches[1])
    together = [a + b for a, b in zip(one.tensors(), two.tensors(), strict=True)]
    assert one.results(together, [8, 10]) == pytest.approx(_plain(batches), rel=1e-6)


def test_without_experts_and_without_batches():
    sums = EpochSums()
    assert sums.results(sums.tensors(), []) == {}
    sums.update(*_batch(3, blocks=0))
    assert sums.results(sums.tensors(), []).keys() == {"train_loss", "train_task", "train_aux"}
    sums.reset()
    assert sums.tensors() == []


def test_dead_experts_are_named():
    means = {f"block8_expert{k}_load": load for k, load in enumerate([0.98, 0.0, 0.011, 0.009])}
    assert dead_experts(means, 8) == [1, 2, 3]
    means["block8_expert2_load"] = 0.013  # 0.013 x 4 experts is 5.2 % of a fair share
    assert dead_experts(means, 8) == [1, 3]
    assert dead_experts(means, 10) == []


def test_region_metrics_are_those_of_a_plain_loop():
    metric = RegionMetrics(["Asia", "South America", "Nowhere"], num_classes=6)
    logits, label = torch.randn(60, 6), torch.randint(5, (60,))  # class 5 is only predicted
    domain = torch.randint(-1, 2, (60,))
    for part in (slice(0, 25), slice(25, 60)):
        metric.update(logits[part], label[part], domain[part])
    found = metric.compute()
    correct = (logits.argmax(dim=1) == label).double().numpy()
    by_region = {key: correct[domain.numpy() == k].mean() for k, key in enumerate(["asia", "south_america"])}
    losses = [
        -math.log(math.exp(row[k]) / sum(map(math.exp, row)))
        for row, k in zip(logits.tolist(), label, strict=True)
    ]
    assert found == pytest.approx(
        {
            "acc": correct.mean(),
            "macro_f1": f1_score(label, logits.argmax(dim=1), average="macro", labels=label.unique()),
            "loss": np.mean(losses),
            "worst_region_acc": min(by_region.values()),
            "mean_region_acc": sum(by_region.values()) / 2,
            **{f"acc_{key}": value for key, value in by_region.items()},
        },
        rel=1e-6,
    )
    metric.reset()
    metric.update(logits[:1], logits[:1].argmax(dim=1), torch.tensor([-1]))
    assert metric.compute() == {
        "loss": pytest.approx(losses_of(logits[0])),
        "acc": 1.0,
        "macro_f1": 1.0,
        "worst_region_acc": 1.0,
        "mean_region_acc": 1.0,
    }


def test_a_region_that_does_not_count_is_never_the_worst():
    metric = RegionMetrics(["Asia", "Other"], ["Other"], num_classes=2)
    logits = torch.eye(2).repeat(4, 1)  # predicts 0, 1, 0, 1, ...
    metric.update(logits, torch.tensor([0, 1, 0, 0, 1, 0, 1, 0]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    found = metric.compute()
    assert (found["acc_asia"], found["acc_other"]) == (0.75, 0.0)
    assert (found["worst_region_acc"], found["acc"]) == (0.75, 0.375)


def losses_of(row):
    return -math.log(max(row.double().softmax(dim=0).tolist()))
