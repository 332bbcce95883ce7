"""Two processes train together, each with samples for other experts than its neighbour."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_processes_train_with_idle_experts_and_agree(tmp_path):
    worker = Path(__file__).with_name("ddp_worker.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(worker)]
    pair = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet"), str(tmp_path / "out")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], "\n".join(errors)
    first, second = (torch.load(tmp_path / f"out.{rank}") for rank in range(2))
    assert set(first["top1"]).isdisjoint(second["top1"])
    assert all(torch.equal(a, second["state"][name]) for name, a in first["state"].items())
