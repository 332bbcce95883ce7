"""Two processes train together, each with samples for other experts than its neighbour."""

from __future__ import annotations

import pytest
import torch

from tests import forked
from tests.models import ddp_worker


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_train_with_idle_experts_and_agree(tmp_path):
    orders = [(rank, str(tmp_path / "meet"), str(tmp_path / "out")) for rank in range(2)]
    forked.both(ddp_worker.main, orders, tmp_path, GLOO_SOCKET_IFNAME="lo")
    first, second = (torch.load(tmp_path / f"out.{rank}") for rank in range(2))
    assert set(first["top1"]).isdisjoint(second["top1"])
    assert all(torch.equal(a, second["state"][name]) for name, a in first["state"].items())
