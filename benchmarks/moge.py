"""The cost of MoGE: ViT-Tiny at 224 px, with MoGE in blocks 8 and 10 (6 experts, top-3) and dense.

Run ``python -m benchmarks.moge [--batch 16] [--repeats 5]``. The contestants take turns in one process with
one thread; times are medians of CPU time. Bars are on the ratios to the dense network measured in the same
run.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
from collections.abc import Callable

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


def medians(cases: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each case."""
    return {name: statistics.median(times) for name, times in interleave(cases, repeats).items()}


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
    print(f"{title:<20}{'GMAC/img':>12}{'ratio':>9}{'ms/img':>10}{'ratio':>9}")
    for name, work in macs.items():
        ms = 1e3 * seconds[name] / batch
        parts = work, work / macs["dense"], ms, seconds[name] / seconds["dense"]
        print("  {:<18}{:>12.3f}{:>9.3f}{:>10.2f}{:>9.3f}".format(name, *parts))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = arguments.batch
    dense = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES)
    encoder = create_encoder("sh", out_dim=64)
    model = add_moge(copy.deepcopy(dense), encoder, expert_noise=0.02)
    image, label = torch.randn(batch, 3, 224, 224), torch.arange(batch) % (CLASSES // 8)
    lonlat = (torch.rand(batch, 2) * torch.tensor([360.0, 160.0]) - torch.tensor([180.0, 80.0])).double()
    features = encoder.features(lonlat)
    print(f"ViT-Tiny 224 px, batch {batch}, 1 thread, torch {torch.__version__}, timm {timm.__version__}")
    print(
        f"{platform.processor() or platform.machine()}; medians of {arguments.repeats} interleaved rounds\n"
    )
    place = Place.of(lonlat, features=features)
    inference(dense, model, image, place, arguments.repeats)
    training(dense, model, image, place, label, arguments.repeats)


def inference(dense: nn.Module, model: MoGEViT, image: Tensor, place: Place, repeats: int) -> None:
    """Forward passes without gradients."""
    dense.eval()
    model.eval()
    embedding = model.embed_places(place)
    cases: dict[str, Callable[[], object]] = {
        "dense": lambda: dense(image),
        "moge": lambda: model(image, place),
        "loop": lambda: loop_forward(model, image, embedding),
        "shared": lambda: model(image, experts="shared"),
    }
    with torch.inference_mode():
        difference = (cases["moge"]().logits - cases["loop"]()).abs().max().item()
        macs = {name: flops(case) / len(image) for name, case in cases.items()}
        seconds = medians(cases, repeats)
    print_costs("inference", macs, seconds, len(image))
    verdict("inference, time of MoGE / dense", seconds["moge"] / seconds["dense"], INFERENCE_BAR)
    verdict("inference, masked loop / dispatch", seconds["loop"] / seconds["moge"], LOOP_BAR, at_least=True)
    verdict("largest difference to the masked loop", difference, DIFFERENCE_BAR)
    print()


def training(
    dense: nn.Module, model: MoGEViT, image: Tensor, place: Place, label: Tensor, repeats: int
) -> None:
    """Whole steps: forward, losses, backward, AdamW."""
    dense.train()
    model.train()
    losses: dict[str, Callable[[], Tensor]] = {
        "dense": lambda: functional.cross_entropy(dense(image), label),
        "moge, CE alone": lambda: all_losses(model(image, place), label, "ce"),
        f"moge, all, {TOKENS} tokens": lambda: all_losses(
            model(image, place, cka_tokens=TOKENS), label, "all"
        ),
    }
    cases = {name: stepper(dense if name == "dense" else model, loss) for name, loss in losses.items()}
    macs = {name: flops(case) / len(image) for name, case in cases.items()}
    seconds = medians(cases, repeats)
    print_costs("training step", macs, seconds, len(image))
    full = f"moge, all, {TOKENS} tokens"
    verdict("training step with all losses, MoGE / dense", seconds[full] / seconds["dense"], TRAIN_BAR)


if __name__ == "__main__":
    main()
