"""Sums over the processes of a run, for methods whose loss couples samples; alone, the values themselves."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def total(values: Tensor) -> Tensor:
    """The sum over all processes, without gradient; every process has to ask."""
    values = values.detach().clone()
    if world() > 1:
        dist.all_reduce(values)
    return values
