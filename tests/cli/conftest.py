"""Untrained checkpoints on the embedded data, and commands that must be refused."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.cli import main
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch, tmp_path):
    for name in set(os.environ):
        if name.startswith("GEOMOE_") and name not in {"GEOMOE_CACHE", "GEOMOE_REQUIRE_BROWSER"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def info():
    """What a checkpoint of the embedded data knows about it."""
    module = build_datamodule(RunConfig())
    module.prepare_data()
    module.setup("fit")
    return module.info()


@pytest.fixture(scope="session")
def make_checkpoint(info):
    """Write an untrained network as training would; facts and options can be changed."""

    def write(path, algorithm="moge", *, facts=None, held_out=None, **model):
        torch.manual_seed(0)
        config = RunConfig(algorithm=algorithm, encoder=EncoderConfig(legendre_polys=4, out_dim=16))
        config = replace(config, model=ModelConfig(**model), data=DataConfig(held_out=held_out))
        known = {**info, "held_out": held_out, **(facts or {})}
        return save_checkpoint(path, build_network(config, known), config, known)

    return write


@pytest.fixture(scope="session")
def checkpoints(make_checkpoint, tmp_path_factory):
    """Algorithm -> untrained checkpoint."""
    folder = tmp_path_factory.mktemp("cli")
    return {name: make_checkpoint(folder / f"{name}.ckpt", name) for name in ("erm", "erm_le", "moge")}


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a command that must be refused: status 2, one line, no result, nothing left behind."""

    def run(*argv):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        status = main([str(word) for word in argv])
        out, err = capsys.readouterr()
        assert status == 2, err
        assert out == ""
        assert err.startswith("geomoe: error: ")
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1, err
        assert sorted(tmp_path.rglob("*")) == before
        return err.removeprefix("geomoe: error: ").rstrip("\n")

    return run
