"""The cost of MoGE: ViT-Tiny at 224 px, with MoGE in blocks 8 and 10 (6 experts, top-3) and dense.

Run ``python -m benchmarks.moge [--batch 16] [--repeats 5]``, on a GPU with ``--device cuda``, and with
``--compile`` for networks that torch.compile has compiled. The contestants take turns in one process with
one thread; times are medians, on a CPU of CPU time. The multiply-adds bound the time: the last column is the
ratio of the times to the dense network over that of the multiply-adds. Bars are on the ratios of the times,
for a CPU without --compile.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.side_by_side import interleave, verdict
from geomoe.encoders import create_encoder
from geomoe.losses import cka_diversity, load_balance, supcon
from geomoe.models import MoGEViT, add_moge
from geomoe.types import ModelOutput, Place

CLASSES, TOKENS = 62, 8
INFERENCE_BAR, TRAIN_BAR, LOOP_BAR, DIFFERENCE_BAR = 1.35, 1.45, 1.15, 1e-5


def loop_forward(model: MoGEViT, image: Tensor, embedding: Tensor) -> Tensor:
    """The same network with every expert run on every sample and masked by its gate."""
    vit = model.backbone
    tokens = vit._pos_embed(vit.patch_embed(image))
    routings = dict(zip(model.blocks, model.route(embedding), strict=True))
    for index, block in enumerate(vit.blocks):
        if index not in routings:
            tokens = block(tokens)
            continue
        tokens = tokens + block.attn(block.norm1(tokens))
        hidden, layer = block.norm2(tokens), model.layers[str(index)]
        mixed = layer.shared_weight * block.mlp(hidden)
        for expert, gate in zip(layer.experts, routings[index].weights.T, strict=True):
            mixed = mixed + (1 - layer.shared_weight) * gate[:, None, None] * expert(hidden)
        tokens = tokens + mixed
    return vit.head(vit.forward_head(vit.norm(tokens), pre_logits=True))


def all_losses(output: ModelOutput, label: Tensor, terms: str) -> Tensor:
    """Cross-entropy and the requested terms of MoGE, over both blocks."""
    loss = functional.cross_entropy(output.logits, label)
    if terms == "ce":
        return loss
    blocks = zip(output.routings, output.shared_features, output.expert_outputs, strict=True)
    for routing, feature, outputs in blocks:
        balance, contrast = load_balance(routing), supcon(feature, label, routing.top1)
        loss = loss + 0.01 * balance + 0.1 * contrast + 0.1 * cka_diversity(outputs)
    return loss


def medians(cases: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each case."""
    return {name: statistics.median(times) for name, times in interleave(cases, repeats, device).items()}


def stepper(network: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One training step: forward, losses, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def flops(case: Callable[[], object]) -> float:
    """Multiply-adds of a case, in 1e9."""
    # fused attention kernels on the CPU are not counted; the plain one is
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        case()
    return counter.get_total_flops() / 2e9


def print_costs(title: str, macs: dict[str, float], seconds: dict[str, float], batch: int) -> None:
    """Print work and time of each case, per image and as ratios to the dense network."""
    print(f"{title:<20}{'GMAC/img':>12}{'ratio':>9}{'ms/img':>10}{'ratio':>9}{'of bound':>10}")
    for name, work in macs.items():
        ms = 1e3 * seconds[name] / batch
        more, longer = work / macs["dense"], seconds[name] / seconds["dense"]
        print(f"  {name:<18}{work:>12.3f}{more:>9.3f}{ms:>10.2f}{longer:>9.3f}{longer / more:>10.3f}")


class Task(NamedTuple):
    """A batch, and how it is measured."""

    image: Tensor
    place: Place
    label: Tensor
    repeats: int
    device: str
    compiled: bool

    def compile(self, network: nn.Module) -> Callable[..., Any]:
        """The network, compiled if that is asked for."""
        return torch.compile(network) if self.compiled else network

    @property
    def gated(self) -> bool:
        """Whether there are bars."""
        return self.device == "cpu" and not self.compiled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--compile", action="store_true", help="compile dense and MoGE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, device = arguments.batch, arguments.device
    dense = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES)
    encoder = create_encoder("sh", out_dim=64)
    model = add_moge(copy.deepcopy(dense), encoder, expert_noise=0.02)
    image, label = torch.randn(batch, 3, 224, 224), torch.arange(batch) % (CLASSES // 8)
    lonlat = (torch.rand(batch, 2) * torch.tensor([360.0, 160.0]) - torch.tensor([180.0, 80.0])).double()
    place = Place.of(lonlat.to(device), features=encoder.features(lonlat).to(device))
    task = Task(image.to(device), place, label.to(device), arguments.repeats, device, arguments.compile)
    where = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    print(f"ViT-Tiny 224 px, batch {batch}, 1 thread, torch {torch.__version__}, timm {timm.__version__}")
    compiled = ", compiled" if task.compiled else ""
    print(f"{where}{compiled}; medians of {arguments.repeats} interleaved rounds\n")
    inference(dense.to(device), model.to(device), task)
    training(dense, model, task)


def inference(dense: nn.Module, model: MoGEViT, task: Task) -> None:
    """Forward passes without gradients."""
    dense.eval()
    model.eval()
    image, place = task.image, task.place
    embedding = model.embed_places(place)

    def cases(dense: Callable[..., Any], moge: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
        return {
            "dense": lambda: dense(image),
            "moge": lambda: moge(image, place),
            "loop": lambda: loop_forward(model, image, embedding),
            "shared": lambda: moge(image, experts="shared"),
        }

    plain, timed = cases(dense, model), cases(task.compile(dense), task.compile(model))
    if task.compiled:
        del timed["loop"]
    with torch.inference_mode():
        difference = (timed["moge"]().logits - plain["loop"]()).abs().max().item()
        macs = {name: flops(plain[name]) / len(image) for name in timed}
        seconds = medians(timed, task.repeats, task.device)
    print_costs("inference", macs, seconds, len(image))
    if task.gated:
        verdict("inference, time of MoGE / dense", seconds["moge"] / seconds["dense"], INFERENCE_BAR)
        loop = seconds["loop"] / seconds["moge"]
        verdict("inference, masked loop / dispatch", loop, LOOP_BAR, at_least=True)
        verdict("largest difference to the masked loop", difference, DIFFERENCE_BAR)
    else:
        print(f"  largest difference to the masked loop: {difference:.3g}")
    print()


def training(dense: nn.Module, model: MoGEViT, task: Task) -> None:
    """Whole steps: forward, losses, backward, AdamW."""
    dense.train()
    model.train()
    image, place, label = task.image, task.place, task.label
    full = f"moge, all, {TOKENS} tokens"

    def cases(of_dense: Callable[..., Any], moge: Callable[..., Any]) -> dict[str, Callable[[], None]]:
        return {
            "dense": stepper(dense, lambda: functional.cross_entropy(of_dense(image), label)),
            "moge, CE alone": stepper(model, lambda: all_losses(moge(image, place), label, "ce")),
            full: stepper(model, lambda: all_losses(moge(image, place, cka_tokens=TOKENS), label, "all")),
        }

    macs = {name: flops(case) / len(image) for name, case in cases(dense, model).items()}
    seconds = medians(cases(task.compile(dense), task.compile(model)), task.repeats, task.device)
    print_costs("training step", macs, seconds, len(image))
    if task.gated:
        verdict("training step with all losses, MoGE / dense", seconds[full] / seconds["dense"], TRAIN_BAR)


if __name__ == "__main__":
    main()
