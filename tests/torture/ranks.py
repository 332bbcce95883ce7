"""Two processes train one network, the one that a single process trains with the joint batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "tests/training/ddp_worker.py"
KINDS = ("erm", "moge", "dann", "groupdro", "fish", "sagm", "per_region", "d3g", "messi_mmd")
#: Networks without batch norms, whose statistics are each process's own (``vit_quick`` has some).
TRANSFORMER = {"backbone": "vit_tiny_patch16_224", "image_size": 32, "num_experts": 2, "top_k": 1}
CONVOLUTIONS = {"backbone": "mnist_cnn", "image_size": 28}
#: Nothing random beside the order of samples: each process draws its own.
STILL = {"encoder": {"noise": 0.0}, "optimizer": {"name": "sgd", "lr": 0.005}}
#: Of how far training moves a tensor: sums of halves are rounded otherwise; a wrong mean would be half of it.
SHARE = 0.01
LEAST = 1e-6  # of tensors that hardly move
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def configured(kind, seed, batch, folder, devices):
    """The same run for one process or two."""
    from geomoe.config import (
        DataConfig,
        EncoderConfig,
        ModelConfig,
        OptimizerConfig,
        RunConfig,
        TrainerConfig,
    )

    model = TRANSFORMER if kind == "moge" else CONVOLUTIONS
    base = RunConfig(algorithm=kind, seed=seed, output=str(folder / "runs"))
    return replace(
        base,
        data=DataConfig(augment="none", batch_size=batch // devices),
        model=ModelConfig(**model, drop_path=0.0),
        options={"moge": {"cka_tokens": 0}} if kind == "moge" else {},
        encoder=replace(base.encoder, **STILL["encoder"]) if kind else EncoderConfig(),
        optimizer=OptimizerConfig(**STILL["optimizer"]),
        trainer=TrainerConfig(
            max_epochs=1,
            loggers=(),
            accelerator="cpu",
            precision="32-true",
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
        ),
    )


def trial(shop, kind, draw, folder):
    """Train with one and two processes, from a random seed and batch size, and compare the weights."""
    import torch

    seed, batch, steps = draw.randrange(10**6), draw.choice((8, 12, 16)), draw.randint(2, 4)
    ended = {}
    for devices in (1, 2):
        place = folder / str(devices)
        place.mkdir()
        config = configured(kind, seed, batch, place, devices)
        order = [{"config": config.as_dict(), "folder": str(place), "limit": steps}]
        given = {**os.environ, "PYTHONPATH": str(ROOT), "GEOMOE_CACHE": str(shop.root / "caches")}
        words = [sys.executable, str(WORKER), json.dumps(order)]
        done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-1500:]
        ended[devices] = [torch.load(place / f"{rank}.pt", weights_only=True) for rank in range(devices)]
    (alone,), (first, second) = ended[1], ended[2]
    rows = torch.cat([first["rows"], second["rows"]])
    assert sorted(rows.tolist()) == sorted(alone["rows"].tolist()), "not the rows of one process, each once"
    apart = (0.0, "nothing")
    for name, value in alone["state"].items():
        if name.endswith(STATISTICS):
            continue
        assert torch.equal(first["state"][name], second["state"][name]), f"the processes differ in {name}"
        gap, moved = distance(first["state"][name], value), distance(value, alone["begin"][name])
        assert gap <= SHARE * moved + LEAST, f"{name}: {gap:.2g} from one process, moved by {moved:.2g}"
        apart = max(apart, (gap / moved if moved > LEAST else 0.0, name))
    return f"seed {seed}, batches of {batch}, {steps} updates; {apart[0]:.1e} of its way apart: {apart[1]}"


def distance(one, other):
    """The largest difference of two tensors; infinite if one is NaN where the other is not."""
    import torch

    if not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    return (one.double() - other.double()).nan_to_num().abs().max().item()
