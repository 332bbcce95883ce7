"""Costs: operations against counts by hand, and a run's numbers that stay what they are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from geomoe.algorithms import Now
from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.spec import spec_of
from geomoe.bench.planning.twin_rows import count_parameters, is_mixture
from geomoe.bench.running.cost import COUNTED, CostMeter, answer_flops, flop_counter, parameters
from geomoe.bench.running.twins import TOLERANCE, known_widths, resolve, widths
from geomoe.build import build_network
from geomoe.catalogue import METHODS
from geomoe.config import ModelConfig, RunConfig
from geomoe.errors import ConfigError
from geomoe.inference import load
from geomoe.training import fit
from tests.algorithms.conftest import build

B, T, D, DEPTH = 16, 16, 64, 4  # batch, tokens, width and blocks of vit_quick at 32 pixels


def test_attention_of_a_cpu_is_counted():
    query = torch.randn(2, 3, 5, 7, requires_grad=True)
    with flop_counter() as counter:
        nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    forward = 2 * 2 * (2 * 3) * 5 * 5 * 7  # two products
    backward = 5 * forward // 2  # the scores again, and four products
    assert counter.get_total_flops() == forward + backward


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """Width of the MLPs -> meter and checkpoint of a short run."""
    plan = make_plan(spec_of({**small, "algorithms": ["erm"], "budget": 12}), tmp_path_factory.mktemp("cost"))
    config = plan.config(plan.runs[0])
    found = {}
    for ratio in (2.0, 4.0):
        meter = CostMeter(12)
        run = replace(config, model=replace(config.model, mlp_ratio=ratio), run_name=f"r{ratio}")
        found[ratio] = meter, fit(run, quiet=True, callbacks=[meter])
    return found


@pytest.mark.slow
def test_operations_of_wider_mlps_by_hand(trained):
    """Two products of (T, D) x (D, H) for an image and block; backward costs twice as much as forward."""
    more = 2 * D  # units
    (narrow, first), (wide, second) = trained[2.0], trained[4.0]
    forward = 2 * 2 * T * D * more * DEPTH
    assert answer_flops(load(second.best)) - answer_flops(load(first.best)) == forward
    assert wide.cost().step_flops - narrow.cost().step_flops == 3 * forward * B
    units = 2 * D * more + more  # two matrices, one bias
    assert parameters(load(second.best).model) - parameters(load(first.best).model) == units * DEPTH


def test_what_is_timed_and_counted(trained):
    cost = trained[4.0][0].cost()
    assert cost.counted == COUNTED
    assert 0 < cost.timed < 12 - COUNTED
    assert cost.step_seconds > 0
    assert CostMeter(100).count_from(1) == 100 - COUNTED
    assert CostMeter(100, counted=0).cost().step_flops is None


class Turns:
    """A training whose every third update is larger; its update is one product of matrices."""

    def __init__(self, sizes):
        self.algorithm, self.sizes = SimpleNamespace(turns=len(sizes)), sizes

    def now(self, batch_idx):
        return Now(batch_idx, 12, 0)

    def ends_update(self, batch_idx):
        return True

    def run(self, meter, steps):
        for number in range(steps):
            meter.on_train_batch_start(None, self, None, number)
            size = self.sizes[number % len(self.sizes)]
            torch.ones(size, 1) @ torch.ones(1, 1)
            meter.on_train_batch_end(None, self, None, None, number)


@pytest.mark.parametrize(("sizes", "steps"), [((7,), 12), ((1, 9), 12), ((1, 9), 11), ((1, 2, 3, 4), 12)])
def test_updates_that_take_turns_are_counted_in_whole_rounds(sizes, steps):
    meter = CostMeter(steps)
    Turns(sizes).run(meter, steps)
    assert meter.cost().step_flops == 2 * sum(sizes) / len(sizes)


def test_methods_say_how_their_updates_take_turns():
    assert build("erm").turns == 1
    assert build("dann", steps=2).turns == 3
    assert build("swad", inner=build("cdann")).turns == 2


def test_every_method_in_the_folder_of_experts_is_a_mixture():
    found = {name for name in METHODS if is_mixture(name)}
    assert {"moge", "pg_dro", "messi_ot", "erm_moe"} <= found
    assert not found & {"erm", "erm_le", "irm", "swad"}
    assert all(METHODS[name].experts <= is_mixture(name) for name in METHODS)


@pytest.mark.long
@pytest.mark.slow
def test_twins_are_as_large_and_as_costly(small, tmp_path):
    spec = spec_of({**small, "algorithms": small["algorithms"], "twins": ["parameters", "flops"]})
    plan = make_plan(spec, tmp_path)
    assert list(plan.rows) == ["erm", "moge", "erm-parameters-of-moge", "erm-flops-of-moge"]
    assert all(row.algorithm == "erm" for row in plan.rows.values() if row.twin is not None)
    found = resolve(plan)
    info = {"classes": ["dark", "bright"], "domains": ["a", "b", "c"], "bands": 3}
    sizes = {label: count_parameters(row.config, info) for label, row in found.rows.items()}
    rest = sizes["erm-parameters-of-moge"] / sizes["moge"] - 1
    assert abs(rest) <= TOLERANCE
    assert widths(found)["erm-parameters-of-moge"].rest == pytest.approx(rest)
    flops = [_counted(found.rows[label], tmp_path / "again") for label in ("erm-flops-of-moge", "moge")]
    assert abs(flops[0] / flops[1] - 1) <= TOLERANCE
    assert known_widths(plan).rows == found.rows  # written down, and found again


def _counted(row, folder):
    meter = CostMeter(8, counted=8)
    config = replace(row.config, output=str(folder), run_name=row.label)
    config = replace(config, trainer=replace(config.trainer, max_steps=8))
    fit(config, quiet=True, callbacks=[meter], limit_batches=8)
    return meter.cost().step_flops


def test_networks_of_one_size_share_a_twin(small, tmp_path):
    spec = spec_of({**small, "algorithms": ["messi_ot", "messi_mmd", "erm_moe"], "twins": ["parameters"]})
    twins = [row for row in make_plan(spec, tmp_path).rows.values() if row.twin]
    assert [row.of for row in twins] == [("messi_ot", "messi_mmd", "erm_moe")]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"algorithms": ["erm"]}, "twins: no algorithm of the spec has experts"),
        (
            {
                "settings": {"model": {"backbone": "vit_tiny_patch16_224", "weights": "timm"}},
                "algorithms": ["moge"],
            },
            "twins: moge starts from pretrained weights",
        ),
        (
            {"algorithms": ["messi_ot"], "settings": {"model": {"backbone": "resnet18"}}},
            "mlp_ratio: resnet18 is no plain",
        ),
    ],
)
def test_twins_that_cannot_be(small, tmp_path, changes, line):
    spec = spec_of({**small, "twins": ["parameters"], **changes})
    with pytest.raises(ConfigError) as caught:
        resolve(make_plan(spec, tmp_path))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_widths_of_networks():
    info = {"classes": ["a", "b"], "domains": ["a"], "bands": 3}
    for backbone, width in (("vit_quick", 64), ("vit_tiny_patch16_224", 192)):
        model = ModelConfig(backbone=backbone, mlp_ratio=(100 + 0.5) / width, image_size=32)
        network = build_network(RunConfig(algorithm="erm", model=model), info)
        assert all(block.mlp.fc1.out_features == 100 for block in network.backbone.blocks)
    with pytest.raises(ConfigError, match="mlp_ratio: mnist_cnn is no plain vision transformer"):
        build_network(
            RunConfig(algorithm="erm", model=ModelConfig(backbone="mnist_cnn", mlp_ratio=2.0)), info
        )
