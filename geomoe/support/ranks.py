"""Communication between the processes of a run, for what couples samples of the joint batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def total(values: Tensor) -> Tensor:
    """The sum over all processes, without gradient; every process has to call this."""
    values = values.detach().clone()
    if world() > 1:
        dist.all_reduce(values)
    return values


def summed(values: Tensor) -> Tensor:
    """The sum over all processes; every process has to call this.

    Gradients flow to this process's own summand, multiplied by the number of processes, as in
    :func:`gathered`.
    """
    return _Summed.apply(values) if world() > 1 else values


def shared(values: Tensor) -> Tensor:
    """The first process's values in every process, for random draws; every process has to call this."""
    if world() > 1:
        dist.broadcast(values, 0)
    return values


def gathered(values: Tensor, dim: int = 0) -> Tensor:
    """The rows of all processes, in the order of the joint batch; every process has to call this.

    Gradients flow to this process's own rows, multiplied by the number of processes: each process computes
    the same joint loss, and the mean of their gradients is then the gradient of that loss.

    Args:
        values: rows of this process along ``dim``; their number is the same in all processes.
        dim: the dimension of the rows.
    """
    if world() == 1:
        return values
    return _Gathered.apply(values.movedim(dim, 0)).movedim(0, dim)


def own(values: Tensor) -> Tensor:
    """The rows of this process, from those of all of them in the order of the joint batch."""
    return values.chunk(world())[dist.get_rank()] if world() > 1 else values


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        values = values.contiguous()
        found = [torch.empty_like(values) for _ in range(world())]
        dist.all_gather(found, values)
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return own(slopes[0]) * world()


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return total(values)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return slopes[0] * world()
