"""Synthetic samples and what a network does on them; and untrained checkpoints on the embedded data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.diagnose.samples import Samples
from geomoe.diagnose.sweep import Answers, Seen
from geomoe.diagnose.values import Settings

COUNT, DOMAINS, CLASSES, EXPERTS, WIDTH = 240, 3, 4, 3, 5


def make_samples(seed=0):
    """Three domains, some unknown; four classes, of which one is in one domain alone; some unknown places."""
    rng = np.random.default_rng(seed)
    domain = rng.integers(-1, DOMAINS, COUNT)
    label = rng.integers(0, CLASSES, COUNT)
    label[(label == 3) & (domain != 1)] = 0
    sites = np.array([[20.0, 50.0], [100.0, 30.0], [-60.0, -10.0], [135.0, -25.0]])
    lonlat = sites[domain] + rng.uniform(-8, 8, (COUNT, 2))
    lonlat[::17] = np.nan
    block = np.where(np.isnan(lonlat[:, 0]), -1, np.nan_to_num(lonlat[:, 0]) // 3).astype(np.int64)
    classes, domains = ("forest", "desert", "sea", "ice"), ("Europe", "Asia", "Americas")
    return Samples(np.arange(COUNT), label, domain, lonlat, block, classes, domains)


def make_seen(samples, seed=1, layers=2, moves=("shuffled", "dropped")):
    """A network's answers, whose routing depends on domain and class."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(layers, DOMAINS + 1, CLASSES, EXPERTS)) * 2
    logits = scores[:, samples.domain, samples.label] + rng.normal(size=(layers, COUNT, EXPERTS)) / 2
    weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    outputs = rng.normal(size=(layers, EXPERTS, COUNT, WIDTH)) + samples.domain[:, None]

    def guess(*shape):
        right = rng.random((*shape, COUNT)) < 0.6
        return np.where(right, samples.label, rng.integers(0, CLASSES, (*shape, COUNT)))

    return Seen(
        layers=tuple(f"block {number}" for number in (2, 5)[:layers]),
        predicted=guess(),
        features=(rng.normal(size=(COUNT, WIDTH)) + samples.domain[:, None]).astype(np.float32),
        weights=weights.astype(np.float32),
        outputs=outputs.astype(np.float32),
        tokens=tuple(rng.normal(size=(EXPERTS, 50, WIDTH)).astype(np.float32) for _ in range(layers)),
        forced=guess(layers, EXPERTS),
        shared=guess(),
        moved={name: Answers(guess(), rng.integers(0, EXPERTS, (layers, COUNT))) for name in moves},
        answers=9,
    )


def make_settings(**changes):
    known = Settings(
        split="val",
        split_of="common",
        seed=3,
        km=(5.0,),
        permutations=20,
        alpha=4.0,
        top_percent=10.0,
        climate=False,
    )
    return replace(known, **changes)


@pytest.fixture
def samples():
    return make_samples()


@pytest.fixture
def seen(samples):
    return make_seen(samples)


@pytest.fixture
def other(samples):
    """Another network's answers on the same samples."""
    return make_seen(samples, seed=9)


@pytest.fixture
def settings():
    return make_settings()


@pytest.fixture(scope="session")
def facts():
    """What a checkpoint of the embedded data knows about it."""
    module = build_datamodule(RunConfig())
    module.prepare_data()
    module.setup("fit")
    return module.info()


@pytest.fixture(scope="session")
def write(facts):
    """Write an untrained network as training would; its experts differ."""

    def of(path, algorithm="moge", *, seed=0, held_out=None, encoder="sh", known=None, **model):
        torch.manual_seed(seed)
        config = RunConfig(
            algorithm=algorithm,
            seed=seed,
            encoder=EncoderConfig(name=encoder, legendre_polys=4, out_dim=16, hidden_dim=16),
            data=DataConfig(held_out=held_out),
            model=ModelConfig(**{"num_experts": 3, "top_k": 2, "expert_noise": 1.0, **model}),
        )
        info = {**facts, "held_out": held_out, **(known or {})}
        return save_checkpoint(path, build_network(config, info), config, info)

    return of


@pytest.fixture(scope="session")
def checkpoints(write, tmp_path_factory):
    """Name -> checkpoint."""
    folder = tmp_path_factory.mktemp("diagnose")
    kinds = {"moge": "moge", "moge2": "moge", "messi": "messi_mmd", "erm": "erm", "erm_le": "erm_le"}
    return {
        name: write(folder / f"{name}.ckpt", kind, seed=number)
        for number, (name, kind) in enumerate(kinds.items())
    }
