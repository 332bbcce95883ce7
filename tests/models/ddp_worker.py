"""One of two processes that train a MoGE network together; run by test_ddp.py."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from geomoe.models import add_moge, create_backbone


class Direct(nn.Module):
    """Takes lon/180, lat/90 for the embedding, so that the test decides who goes where."""

    out_dim = 2

    def forward(self, place):
        return (place.lonlat / torch.tensor([180.0, 90.0])).float()


def build():
    torch.manual_seed(0)
    vit = create_backbone("vit_quick", num_classes=3, image_size=16)
    for module in vit.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return add_moge(
        vit, Direct(), blocks=(1, 2), num_experts=6, top_k=1, expert_dropout=0.5, learn_gamma=True
    )


def freeze_statistics(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def data(rank):
    generator = torch.Generator().manual_seed(rank)
    image = torch.randn(4, 3, 16, 16, generator=generator)
    # each process at one place: most experts answer nobody, and different ones on each side
    return image, torch.tensor([[170.0, 5.0], [-20.0, -85.0]], dtype=torch.float64)[rank].expand(4, 2)


def main(order):
    """Train, with a rank, the file where the processes meet, and the one for what they end with."""
    rank, rendezvous, output = order
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    model = build()
    freeze_statistics(model)
    parallel = DistributedDataParallel(model)  # find_unused_parameters stays False
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image, lonlat = data(rank)
    for step in range(4):  # an unused parameter fails in the second step at the latest
        optimizer.zero_grad()
        result = parallel(image, lonlat, cka_tokens=2 if step < 2 else None)
        loss = result.logits.square().sum()
        if step < 2:
            loss = loss + sum(outputs.square().mean() for outputs in result.expert_outputs)
        loss.backward()
        optimizer.step()
    top1 = result.routings[0].top1.tolist()
    torch.save({"top1": top1, "state": model.state_dict()}, f"{output}.{rank}")
    dist.destroy_process_group()
