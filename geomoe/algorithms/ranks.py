"""What the processes of a run tell one another, for methods whose loss couples samples."""

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


def shared(values: Tensor) -> Tensor:
    """The first process's values, in every process: for what is drawn at random; every process has to ask."""
    if world() > 1:
        dist.broadcast(values, 0)
    return values
