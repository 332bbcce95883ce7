"""Small untrained checkpoints, one for each algorithm, written the way training writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geomoe.build import build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import EncoderConfig, ModelConfig, RunConfig

INFO = {
    "classes": ["forest", "desert", "sea", "ice"],
    "domains": ["Asia", "Europe", "Africa"],
    "bands": 3,
    "mean": [100.0, 110.0, 90.0],
    "std": [50.0, 40.0, 60.0],
    "data_hash": "0" * 64,
    "held_out": None,
}


def small_config(algorithm: str) -> RunConfig:
    """The quick network with 5 experts in two blocks, top-2."""
    config = RunConfig(
        algorithm=algorithm, encoder=EncoderConfig(legendre_polys=4, out_dim=16, hidden_dim=32)
    )
    return replace(config, model=ModelConfig(num_experts=5, top_k=2, expert_noise=1.0))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Algorithm name -> checkpoint file."""
    folder = tmp_path_factory.mktemp("checkpoints")
    files = {}
    for name in ("erm", "erm_le", "moge", "messi_ot"):
        torch.manual_seed(3)
        config = small_config(name)
        files[name] = save_checkpoint(folder / f"{name}.ckpt", build_network(config, INFO), config, INFO)
    return files
