"""``evaluate`` on real data: every number is computed again with the bare network."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from geomoe.algorithms import Facts, Now
from geomoe.build import build_datamodule, build_method, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.config.load import read_config
from geomoe.errors import CheckpointError, ConfigError, DataError, InputError
from geomoe.evaluation import evaluate
from geomoe.metrics import expert_cka

ASIA = 0


def train(config: RunConfig, path, steps: int):
    """A few steps of training by hand, then a checkpoint as training writes it."""
    torch.manual_seed(0)
    data = build_datamodule(config)
    info, samples = data.info(), data.dataset("train")
    facts = Facts(classes=len(info["classes"]), domains=tuple(range(len(info["domains"]))))
    method = build_method(config, info, facts)
    optimizer = torch.optim.AdamW(method.parameters(), lr=2e-3)
    for _ in range(steps):
        rows = torch.randint(len(samples), (64,)).tolist()
        answer = method.losses(data.to_batch(samples.read(rows), train=True), Now(0, 1, 0))
        optimizer.zero_grad()
        answer.total.backward()
        optimizer.step()
    return save_checkpoint(path, method.answering(), config, info)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """MoGE and ERM, trained for seconds with Asia held out."""
    folder = tmp_path_factory.mktemp("trained")
    config = RunConfig(
        data=DataConfig(held_out="Asia"),
        model=ModelConfig(num_experts=3, top_k=2, expert_noise=0.5),
        encoder=EncoderConfig(legendre_polys=4, out_dim=16, hidden_dim=32),
    )
    erm = replace(config, algorithm="erm")
    return {
        "moge": train(config, folder / "moge.ckpt", 40),
        "erm": train(erm, folder / "erm.ckpt", 2),
    }


@pytest.fixture(scope="module")
def everywhere(checkpoints):
    """MoGE on the whole test split: the scores."""
    return evaluate(checkpoints["moge"], bootstrap=0, diagnostics=False)


@pytest.fixture(scope="module")
def report(checkpoints):
    """MoGE on the held-out region: scores, intervals and a look into the experts."""
    return evaluate(checkpoints["moge"], split="held_out", bootstrap=50)


@pytest.fixture(scope="module")
def bare(checkpoints):
    """The network alone, and a split of the data: images normalised by hand, places, the data set."""
    content = torch.load(checkpoints["moge"], weights_only=True)
    config, info = read_config(content["geomoe"]["config"]), content["geomoe"]["info"]
    network = build_network(config, info)
    weights = {name.removeprefix("algorithm.model."): value for name, value in content["state_dict"].items()}
    network.load_state_dict(weights)
    mean, std = (torch.tensor(info[key]).view(1, 3, 1, 1) for key in ("mean", "std"))

    @cache
    def opened(split):
        data = build_datamodule(config).dataset(split)
        raw = data.read(range(len(data)))
        return (raw["image"] - mean) / std, torch.stack([raw["lon"], raw["lat"]], dim=1), data

    return network.eval().requires_grad_(False), opened


def right(network, image, lonlat, data, experts):
    """Which samples a network gets right."""
    parts = zip(image.split(500), lonlat.split(500), strict=True)
    logits = torch.cat([network(pixels, places, experts=experts).logits for pixels, places in parts])
    return logits.argmax(dim=1).numpy() == data.labels


@pytest.mark.slow
@pytest.mark.parametrize("experts", ["all", "shared"])
def test_scores_of_all_experts_and_of_the_shared_one(everywhere, bare, experts):
    network, opened = bare
    data = opened("test")[2]
    hits, found = right(network, *opened("test"), experts), everywhere.scores_of(experts)
    assert found.overall.count == len(data)
    assert found.overall.accuracy == pytest.approx(hits.mean(), abs=5e-4)
    for number, region in enumerate(data.regions):
        rows = data.domains == number
        assert found.regions[region].count == rows.sum()
        assert found.regions[region].blocks == len(set(data.blocks[rows].tolist()))
        assert found.regions[region].accuracy == pytest.approx(hits[rows].mean(), abs=3e-3)
    assert found.held_out.accuracy == pytest.approx(hits[data.domains == ASIA].mean(), abs=3e-3)
    assert found.source.accuracy == pytest.approx(hits[data.domains != ASIA].mean(), abs=5e-4)
    assert everywhere.experts_report is None  # left out, as asked
    assert hits.mean() > 0.15  # it learned something


@pytest.mark.slow
def test_the_shared_expert_alone_is_the_plain_backbone(report, bare):
    network, opened = bare
    image, _, data = opened("held_out")
    hits = network.remove()(image).argmax(dim=1).numpy() == data.labels
    assert report.scores_of("shared").overall.accuracy == pytest.approx(hits.mean(), abs=3e-3)


@pytest.mark.slow
def test_forced_expert_matrix(report, bare):
    network, opened = bare
    image, lonlat, data = opened("held_out")
    for number, one in enumerate(report.experts_report.forced):
        choices = [tuple(column if n == number else "all" for n in range(2)) for column in range(3)]
        hits = [right(network, image, lonlat, data, choice) for choice in choices]
        assert one.block == network.blocks[number]
        top1 = network.route_places(lonlat)[number].logits.argmax(dim=1).numpy()
        for row in range(3):
            rows = top1 == row
            assert one.counts[row] == rows.sum()
            for column in range(3):
                expected = (
                    pytest.approx(hits[column][rows].mean(), abs=3 / rows.sum()) if rows.any() else None
                )
                assert one.accuracy[row][column] == expected


def test_routing_and_cka(report, bare):
    network, opened = bare
    image, lonlat, data = opened("held_out")
    rows = np.unique(np.linspace(0, len(data) - 1, 512).round().astype(int))
    outputs = network(image[rows], lonlat[rows], cka_tokens=0).expert_outputs
    for number, block in enumerate(network.blocks):
        gates = network.route_places(lonlat)[number].weights.double()
        routing = report.experts_report.routing[number]
        assert routing.load == pytest.approx(gates.mean(dim=0).tolist(), abs=1e-5)
        entropy = torch.special.entr(gates).sum(dim=1).mean().item()
        assert routing.entropy == pytest.approx(entropy, abs=1e-5)
        found = report.experts_report.cka[number]
        assert (found.block, found.rows) == (block, 512 * 8)
        whole = expert_cka(outputs[number])
        assert np.array(found.matrix) == pytest.approx(whole, abs=0.05)  # 8 of 17 tokens against all
        assert np.diag(found.matrix) == pytest.approx(1)


@pytest.mark.slow
def test_the_same_report_every_time(checkpoints, report):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert evaluate(checkpoints["moge"], split="held_out", bootstrap=50) == report
    assert torch.equal(torch.rand(3), expected)  # the caller's random numbers are left alone


@pytest.mark.slow
def test_the_held_out_split_is_the_held_out_part_of_test(everywhere, report):
    scores = report.scores_of()
    assert scores.source is None
    assert scores.held_out == scores.overall
    for key in ("count", "accuracy", "macro_f1", "calibration_error", "blocks"):
        assert getattr(scores.overall, key) == pytest.approx(
            getattr(everywhere.scores_of().held_out, key), abs=3e-3
        )


@pytest.mark.slow
def test_one_forced_expert(checkpoints):
    found = evaluate(checkpoints["moge"], split="held_out", experts=1, bootstrap=0)
    assert list(found.scores) == ["1"]
    assert found.experts_report is None
    assert "expert 1 alone" in found.table()
    assert found.scores_of().overall.accuracy_interval is None


def test_erm_has_no_expert_rows(checkpoints):
    found = evaluate(checkpoints["erm"], split="held_out", bootstrap=0)
    assert list(found.scores) == ["all"]
    assert found.experts_report is None
    assert found.table().count("held-out region (Asia)") == 1


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("erm", {"experts": "shared"}, ConfigError, "erm has no experts of places"),
        ("moge", {"experts": 3}, ConfigError, "experts 0 to 2; got 3"),
        ("moge", {"split": "tset"}, ConfigError, "got 'tset'"),
        ("moge", {"bootstrap": -1}, InputError, "bootstrap: must be at least 0 and"),
        ("moge", {"confidence": 1.0}, InputError, "confidence inside"),
    ],
)
def test_refusals(checkpoints, name, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(checkpoints[name], **options)


def test_other_data_is_refused(checkpoints, tmp_path):
    content = torch.load(checkpoints["erm"], weights_only=True)
    content["geomoe"]["info"]["data_hash"] = "f" * 64
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(DataError, match="trained on data ffffffffffff, here is"):
        evaluate(tmp_path / "other.ckpt")


def test_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        evaluate(tmp_path / "none.ckpt")
