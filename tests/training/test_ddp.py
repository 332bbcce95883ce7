"""Two processes train as one: no unused parameter, one network, each row once, metrics added up."""

from __future__ import annotations

import csv
import json
import socket
from dataclasses import replace

import pytest
import torch

from geomoe.checkpoint import read
from geomoe.config import EncoderConfig, OptimizerConfig
from geomoe.datasets import PACS
from geomoe.inference import load
from geomoe.training import fit
from tests import forked
from tests.kinds import long_after, names_asked
from tests.samples import write_sample
from tests.training import ddp_worker


def train(config, folder, limit):
    """Run a configuration as two processes, of which Lightning starts the second one."""
    said = folder / "stderr.txt"
    process = forked.start(ddp_worker.as_a_program, _plain([(config, folder, limit)]), said=said)
    try:
        process.join(300)
    finally:
        process.kill()
    assert process.exitcode == 0, said.read_text()
    assert "arning" not in said.read_text(), said.read_text()
    return left(folder)


def train_as_torchrun_does(orders, folder):
    """The same, with both processes started here, for all runs at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [(rank, str(port), _plain(orders)) for rank in ("0", "1")]
    forked.both(ddp_worker.as_torchrun_does, ranks, folder)


def _plain(orders):
    return [{"config": c.as_dict(), "folder": str(folder), "limit": limit} for c, folder, limit in orders]


def left(folder):
    """What each process of a run ended with."""
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_share_batches_of_domains(pairs):
    folder = pairs["pacs"]
    ranks = [one["rows"].reshape(4, 6) for one in left(folder)]
    domains = torch.from_numpy(PACS(folder / "pacs", "train", "sketch").domains)
    for step in range(4):
        rows = torch.cat([rank[step] for rank in ranks])
        assert len(rows.unique()) == 12  # no image twice in a step
        for rank in ranks:  # each process has two images of each source domain
            assert domains[rank[step]].bincount(minlength=4).tolist() == [2, 2, 2, 0]


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_train_one_network(tiny, tmp_path):
    config = tiny("moge", devices=2, strategy="ddp", max_epochs=2, data={"batch_size": 8})
    first, second = train(config, tmp_path, 3)
    trained = {name for name in first["state"] if "running" not in name and "num_batches" not in name}
    for name in trained:
        assert torch.equal(first["state"][name], second["state"][name]), name
    # three batches of 8 rows in each of two epochs; within an epoch no row comes twice
    for epoch in (slice(0, 24), slice(24, 48)):
        rows = torch.cat([first["rows"][epoch], second["rows"][epoch]])
        assert len(rows.unique()) == 48

    folder = tmp_path / "runs" / "bluemarble" / "moge" / "all-seed0"
    with (folder / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == ["0", "1"]
    loads = [float(table[0][f"block2_expert{k}_load"]) for k in range(6)]
    assert sum(loads) == pytest.approx(1)
    assert json.loads((folder / "run.json").read_text())["device"].startswith("2 x cpu")
    saved = load(folder / "checkpoints" / "last.ckpt", device="cpu").model.state_dict()
    assert {f"model.{name}" for name in saved} == set(first["state"])
    assert all(torch.equal(saved[name.removeprefix("model.")], first["state"][name]) for name in trained)


#: One method of each kind of update; tests/algorithms/test_ranks.py has the losses that couple samples.
JOINT = ("dann", "fish", "erm", "swad", "groupdro", "sagm", "per_region", "lfme", "d3g", "messi_mmd")


def joint(name, tiny, folder, **trainer):
    """A run without batch norms, noise on places and random changes of images: each process has its own."""
    config = tiny(
        "erm" if name == "swad" else name,
        around=["swad"] if name == "swad" else [],
        output=folder / "runs",
        model={"backbone": "test_vit", "image_size": 32, "drop_path": 0.0},
        data={"augment": "none", "batch_size": 12 // trainer.get("devices", 1)},
        **trainer,
    )
    # Adam blows up the last bits of small gradients
    quiet = {"optimizer": OptimizerConfig(name="sgd", lr=0.005), "encoder": EncoderConfig(noise=0.0)}
    return replace(config, **quiet)


def of_domains(tiny, folder):
    """A run whose batches have as many images of each source domain."""
    write_sample("pacs", folder / "pacs")
    data = {"name": "pacs", "root": str(folder / "pacs"), "held_out": "sketch", "batch_size": 6}
    data |= {"groups_per_batch": 3, "batches_per_epoch": 4, "augment": "domainbed"}
    return tiny("erm", output=folder / "runs", devices=2, strategy="ddp", max_epochs=1, data=data)


@pytest.fixture(scope="module")
def pairs(request, tiny_anywhere, tmp_path_factory):
    """Each method, and batches of domains, trained by two processes: the folder of each."""
    names = names_asked(request, JOINT)
    folders = {name: tmp_path_factory.mktemp(name) for name in (*names, "pacs")}
    together = {"devices": 2, "strategy": "ddp", "max_epochs": 2}
    configs = {name: joint(name, tiny_anywhere, folders[name], **together) for name in names}
    orders = [(configs[name], folders[name], 3) for name in names]
    orders.append((of_domains(tiny_anywhere, folders["pacs"]), folders["pacs"], None))
    train_as_torchrun_does(orders, folders["pacs"])
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("name", long_after(2, JOINT))
def test_two_processes_do_what_one_does_with_the_joint_batch(name, tiny, pairs, tmp_path):
    alone = fit(joint(name, tiny, tmp_path, max_epochs=2), quiet=True, limit_batches=3)
    first, second = left(pairs[name])
    whole = read(alone.last)["state_dict"]
    assert {f"algorithm.{key}" for key in first["state"]} == set(whole)
    for key, value in first["state"].items():
        if key == "window_loss":
            continue  # half as many validation batches were asked for
        torch.testing.assert_close(second["state"][key], value, rtol=0, atol=0, equal_nan=True, msg=key)
        torch.testing.assert_close(
            value,
            whole[f"algorithm.{key}"],
            rtol=1e-4,
            atol=1e-6,
            equal_nan=True,
            msg=lambda text, key=key: f"{key}: {text}",
        )
