"""One of two processes that form a loss of the joint batch, each with its half: see test_ranks."""

from __future__ import annotations

import contextlib
from unittest import mock

import torch
import torch.distributed as dist

from geomoe.algorithms import Now
from geomoe.types import Batch, Place
from tests.algorithms.conftest import build
from tests.algorithms.reference import double

DOMAINS = [0, 0, 2, 0, -1, 0, 2, 3, 0, 2, 9, 0, -1, 1, 1, 3]


def joint_batch() -> Batch:
    """Sixteen samples; domain 3 has one in each half, 1 is in the second half alone."""
    lonlat = (torch.rand(16, 2, dtype=torch.float64) - 0.5) * torch.tensor([360.0, 180.0])
    place = Place.of(lonlat, torch.tensor(DOMAINS))
    return Batch(torch.randn(16, 3, 16, 16), torch.randint(5, (16,)), place, torch.arange(16))


@contextlib.contextmanager
def joint_noise(rank: int | None):
    """The noise of routers of tokens is drawn for the joint batch, of which each process takes its rows."""

    def drawn(like: torch.Tensor) -> torch.Tensor:
        rows = len(like) if rank is None else 2 * len(like)
        generator = torch.Generator().manual_seed(7)
        found = torch.randn(rows, *like.shape[1:], generator=generator, dtype=like.dtype)
        return found if rank is None else found.chunk(2)[rank]

    with mock.patch.object(torch, "randn_like", drawn):
        yield


def discriminator(method, part: Batch) -> dict[str, torch.Tensor]:
    """Gradients of the adversary's own loss."""
    loss = method._discriminate(part)[1]
    named = dict(method.discriminator.named_parameters())
    slopes = torch.autograd.grad(loss, list(named.values()))
    return {f"discriminator.{key}": slope for key, slope in zip(named, slopes, strict=True)}


def gradients(name: str, options: dict, rank: int | None) -> dict[str, torch.Tensor]:
    """Loss, gradients and buffers of one step of training; rank None: one process has all."""
    torch.manual_seed(0)
    method, batch = build(name, **options).train().double(), double(joint_batch())
    for module in method.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()  # its statistics are those of each process
    part = batch if rank is None else batch.take(slice(8 * rank, 8 * rank + 8))
    with joint_noise(rank):
        answer = method.losses(part, Now(1, 100, 0))
    learner = next(iter(method.learners().values()))
    trained = [(key, value) for key, value in learner.named_parameters() if value.requires_grad]
    names, leaves = zip(*trained, strict=True)
    slopes = torch.autograd.grad(answer.total, leaves, allow_unused=True)
    found = {
        key: torch.zeros_like(w) if s is None else s for key, w, s in zip(names, leaves, slopes, strict=True)
    }
    found |= dict(method.named_buffers())
    found |= {f"term {key}": value.detach() for key, value in answer.terms.items()}
    if hasattr(method, "discriminator"):
        found |= discriminator(method, part)
    if rank is not None:
        for value in found.values():
            if value.is_floating_point():
                dist.all_reduce(value)
                value /= 2
    return found


def main(order: dict) -> None:
    """Write what this process has of each method."""
    rank = order["rank"]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{order['folder']}/meet", rank=rank, world_size=2)
    got = {name: gradients(name, options, rank) for name, options in order["methods"].items()}
    torch.save(got, f"{order['folder']}/{rank}.pt")
    dist.destroy_process_group()
