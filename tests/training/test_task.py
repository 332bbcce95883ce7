from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn

from geomoe.algorithms import Facts, Now
from geomoe.build import build_method
from geomoe.config import OptimizerConfig
from geomoe.config.load import read_config
from geomoe.errors import DivergedError
from geomoe.training.divergence import Divergence
from geomoe.training.optimizers import LearningRate, parameter_groups
from geomoe.training.task import TrainingTask

INFO = {"classes": ["a", "b"], "domains": ["x"], "bands": 3}
FACTS = Facts(classes=2, domains=(0,))


def test_warm_up_then_half_a_cosine():
    rate = LearningRate(OptimizerConfig(warmup=0.1), 100)
    assert [rate(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])
    for step in range(10, 100):
        assert rate(step) == pytest.approx((1 + math.cos(math.pi * (step - 10) / 90)) / 2)
    assert rate(100) == pytest.approx(0, abs=1e-12)
    assert rate(150) == pytest.approx(0, abs=1e-12)


def test_a_constant_rate_still_warms_up():
    rate = LearningRate(OptimizerConfig(warmup=0.5, schedule="constant"), 4)
    assert [rate(step) for step in range(6)] == [0.5, 1, 1, 1, 1, 1]
    assert LearningRate(OptimizerConfig(warmup=0.0), 0)(0) == 1


@pytest.mark.parametrize("router", ["cosine", "linear"])
def test_weight_decay_is_kept_off_scales_and_directions(router):
    config = read_config({"model": {"router": router, "learn_gamma": True}})
    algorithm = build_method(config, INFO, FACTS)
    groups = parameter_groups(algorithm, 0.05)
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = {name: decays[id(p)] for name, p in algorithm.named_parameters()}
    assert len(decays) == len(names), "each parameter once"
    free = {name for name, decay in names.items() if decay == 0}
    assert {
        name
        for name in names
        if name.endswith((".bias", "codebook", "temperature", "gamma", "unknown", "pos_embed"))
    } <= free
    norms = {
        f"{name}.weight"
        for name, part in algorithm.named_modules()
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d)
    }
    assert norms & names.keys() <= free
    assert "model.backbone.pos_embed" in free
    if router == "cosine":
        assert sum("codebook" in name for name in free) == 2
    else:
        assert not any("codebook" in name for name in names)
    decayed = {name for name, decay in names.items() if decay == 0.05}
    assert "model.backbone.blocks.0.attn.qkv.weight" in decayed
    assert "model.layers.2.experts.0.fc1.weight" in decayed
    assert free | decayed == names.keys()


def test_frozen_parameters_are_left_out():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(model, 0.1)) == 1


def test_dead_experts_are_said_once(caplog):
    config = read_config({"model": {"num_experts": 3, "top_k": 1}})
    task = TrainingTask(build_method(config, INFO, FACTS), config, INFO)
    loads = {f"block{b}_expert{k}_load": load for b in (2, 3) for k, load in enumerate((0.5, 0.5, 0.0))}
    with caplog.at_level(logging.WARNING, logger="geomoe"):
        for _ in range(2):
            task._warn({**loads, "train_loss": 1.0})
    assert len(caplog.messages) == 2
    assert "block 2: expert 2 gets less than 5%" in caplog.messages[0]


def test_spare_slots_are_no_dead_experts(caplog):
    config = read_config({"algorithm": "dynmoe", "model": {"num_experts": 2}, "dynmoe": {"max_experts": 4}})
    task = TrainingTask(build_method(config, INFO, FACTS), config, INFO)
    assert task.algorithm.answering().alive == ((True, True, False, False),) * len(task.blocks)
    loads = (0.5, 0.5, 0.0, 0.0)
    means = {f"block{b}_expert{k}_load": load for b in task.blocks for k, load in enumerate(loads)}
    with caplog.at_level(logging.WARNING, logger="geomoe"):
        task._warn({**means, "train_loss": 1.0})
        assert caplog.messages == []
        for router in task.algorithm.routers():  # one of the experts is without tokens
            router.alive[3] = True
        task._warn({**means, "train_loss": 1.0})
    assert len(caplog.messages) == len(task.blocks)
    assert "expert 3 gets less than 5%" in caplog.messages[0]


def test_an_expert_of_a_part_of_an_epoch_is_not_judged_by_the_whole(caplog):
    """A slot that got an expert in this epoch had no tokens before; in the next epoch it is judged."""
    config = read_config({"algorithm": "dynmoe", "model": {"num_experts": 2}, "dynmoe": {"max_experts": 4}})
    task = TrainingTask(build_method(config, INFO, FACTS), config, INFO)
    loads = (0.5, 0.49, 0.0, 0.01)
    means = {f"block{b}_expert{k}_load": load for b in task.blocks for k, load in enumerate(loads)}
    with caplog.at_level(logging.WARNING, logger="geomoe"):
        task.on_train_epoch_start()
        for router in task.algorithm.routers():
            router.alive[3] = True
        task._warn(means)
        assert caplog.messages == []
        task.on_train_epoch_start()
        task._warn(means)
    assert len(caplog.messages) == len(task.blocks)
    assert "expert 3 gets less than 5%" in caplog.messages[0]


class Named:
    """Training data, as far as a message needs it."""

    @staticmethod
    def name_of(row):
        return f"{row}.png"


def test_the_first_lost_loss_is_the_one_that_is_named():
    watched = Divergence(batch_size=4)
    watched.refuse(Named())
    losses = [1.0, math.inf, 2.0, math.nan]
    for step, loss in enumerate(losses):
        watched.watch(torch.tensor(loss), torch.arange(3) + 10 * step, Now(step, 9, step // 2))
    message = r"since update 2 \(epoch 0\), whose batch has 10.png, 11.png, 12.png; lower --optimizer.lr"
    with pytest.raises(DivergedError, match=message):
        watched.refuse(Named())


def test_only_some_rows_of_a_large_batch_are_named_and_the_host_looks_rarely():
    watched = Divergence(batch_size=20)
    watched.watch(torch.tensor(math.nan), torch.arange(20), Now(0, 9, 0))
    with pytest.raises(DivergedError, match=r" 7.png and 12 more; lower"):
        watched.refuse(Named())
    assert [step for step in range(250) if Divergence.due(step)] == [100, 200]
