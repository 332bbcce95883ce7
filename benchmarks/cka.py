"""The cost of the diversity loss: linear CKA between 6 experts, and its share of a training step.

Run ``python -m benchmarks.cka [--batch 16] [--rounds 11]``. The contestants take turns in one process with
one thread. Times are medians of processor time, which other load on the machine disturbs least. Bars are on
ratios measured in the same run.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from collections.abc import Callable

import timm
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.side_by_side import interleave, verdict
from geomoe.algorithms import MoGE
from geomoe.encoders import create_encoder
from geomoe.losses import cka_diversity, linear_cka
from geomoe.models import add_moge
from geomoe.types import Batch, Place

EXPERTS, WIDTH, CLASSES = 6, 192, 62
GRAM_BAR, PAIRS_BAR, STEP_BAR, NOISE_BAR = 10.0, 5.0, 1.05, 0.02


def gram_pairs(outputs: Tensor) -> Tensor:
    """The poster's formula through R x R Gram matrices, pair by pair."""
    return _over_pairs(outputs, _gram_cka)


def feature_pairs(outputs: Tensor) -> Tensor:
    """The poster's formula through D x D products, pair by pair."""
    return _over_pairs(outputs, _feature_cka)


def _over_pairs(outputs: Tensor, cka: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    centred = outputs - outputs.mean(dim=1, keepdim=True)
    pairs = [(i, j) for i in range(len(outputs)) for j in range(i + 1, len(outputs))]
    return torch.stack([cka(centred[i], centred[j]) for i, j in pairs]).mean()


def _gram_cka(x: Tensor, y: Tensor) -> Tensor:
    k, m = x @ x.T, y @ y.T
    return (k * m).sum() / (k.norm() * m.norm())


def _feature_cka(x: Tensor, y: Tensor) -> Tensor:
    return (y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


def both_ways(loss: Callable[[Tensor], Tensor], outputs: Tensor) -> Callable[[], None]:
    """Run a loss forward and backward."""

    def run() -> None:
        outputs.grad = None
        loss(outputs).backward()

    return run


def losses_alone(rows: int, rounds: int, with_gram_pairs: bool = True) -> dict[str, float]:
    """Median seconds, forward and backward, of every way to compute the loss, on (E, rows, D)."""
    outputs = torch.randn(EXPERTS, rows, WIDTH).requires_grad_()
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "auto, unbiased": lambda x: cka_diversity(x, "unbiased"),
        "auto, biased": lambda x: cka_diversity(x, "biased"),
        "feature pairs": feature_pairs,
    }
    if with_gram_pairs:
        ways["Gram pairs"] = gram_pairs
    times = interleave({name: both_ways(way, outputs) for name, way in ways.items()}, rounds)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    print(f"  {rows:>5} rows  " + "  ".join(f"{name} {1e3 * s:.2f} ms" for name, s in seconds.items()))
    return seconds


def digits(rows: int) -> None:
    """Print the difference between float32 and float64."""
    outputs = torch.randn(EXPERTS, rows, WIDTH) + torch.randn(rows, WIDTH)
    for name, way in (("auto", lambda x: cka_diversity(x, "biased")), ("Gram pairs", gram_pairs)):
        exact = (
            way(outputs.double()).item() if rows <= 1024 else cka_diversity(outputs.double(), "biased").item()
        )
        print(f"  {name:<12} float32 {way(outputs).item():.6f}  float64 {exact:.6f}")


def noise() -> float:
    """Print the mean CKA of independent features; absolute value of the unbiased one at 64 rows."""
    means: dict[tuple[int, str], float] = {}
    for rows in (32, 64, 512):
        for estimator in ("unbiased", "biased"):
            values = []
            for seed in range(20):
                torch.manual_seed(seed)
                values.append(linear_cka(*torch.randn(2, rows, WIDTH), estimator).item())  # type: ignore[arg-type]
            means[rows, estimator] = statistics.mean(values)
            spread = statistics.stdev(values)
            print(f"  {rows:>5} rows  {estimator:<9} mean {means[rows, estimator]:+.4f}  sd {spread:.4f}")
    return abs(means[64, "unbiased"])


def step_share(batch: int, tokens: tuple[int, ...], rounds: int) -> dict[int, float]:
    """Time of a complete MoGE step with CKA relative to the step without, by tokens per sample."""
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES)
    model = add_moge(vit, create_encoder("sh", out_dim=64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    data = _batch(batch)
    data = data._replace(place=data.place._replace(features=model.encoder.features(data.lonlat)))

    def stepper(algorithm: MoGE) -> Callable[[], None]:
        algorithm.train()

        def step() -> None:
            optimizer.zero_grad()
            algorithm.training_loss(data)[1].total.backward()
            optimizer.step()

        return step

    cases = {0: stepper(MoGE(model, cka=0.0))} | {t: stepper(MoGE(model, cka_tokens=t)) for t in tokens}
    times = interleave({str(name): case for name, case in cases.items()}, rounds)
    plain = times["0"]
    work = {name: _flops(case) for name, case in cases.items()}
    extra = ", ".join(f"{t} tokens {work[t] / work[0]:.4f}" for t in tokens)
    print(f"  batch {batch}, without CKA: {statistics.median(plain):.3f} s a step")
    print(f"  multiply-adds with CKA / without: {extra}")
    fastest = ", ".join(f"{t} tokens {min(times[str(t)]) / min(plain):.4f}" for t in tokens)
    print(f"  fastest step with CKA / without (holds on a busy machine): {fastest}")
    return {t: statistics.median(a / b for a, b in zip(times[str(t)], plain, strict=True)) for t in tokens}


def _flops(case: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        case()
    return counter.get_total_flops()


def _batch(size: int) -> Batch:
    lonlat = (torch.rand(size, 2, dtype=torch.float64) - 0.5) * torch.tensor([360.0, 180.0])
    label = torch.arange(size) % 8
    return Batch(torch.randn(size, 3, 224, 224), label, Place.of(lonlat), torch.arange(size))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{EXPERTS} experts of width {WIDTH}, 1 thread, torch {torch.__version__}, {platform.machine()}\n")
    print("forward + backward of the loss alone")
    few = losses_alone(32, 31)
    for rows in (128, 256, 512):
        losses_alone(rows, 9)
    many = losses_alone(6304, 1)
    print("digits at 6304 rows")
    digits(6304)
    print("independent features (the truth is 0)")
    bias = noise()
    print("share of a ViT-Tiny 224 px training step, MoGE in blocks 8 and 10")
    share = step_share(arguments.batch, (8, 16), arguments.rounds)
    print("\nbars")
    for name in ("auto, unbiased", "auto, biased"):
        verdict(f"6304 rows: Gram pairs / {name}", many["Gram pairs"] / many[name], GRAM_BAR, at_least=True)
        verdict(
            f"32 rows: feature pairs / {name}", few["feature pairs"] / few[name], PAIRS_BAR, at_least=True
        )
    for tokens, ratio in share.items():
        verdict(f"step with CKA on {tokens} tokens a sample / without", ratio, STEP_BAR)
    verdict("|mean unbiased CKA| of independent features, 64 rows", bias, NOISE_BAR)


if __name__ == "__main__":
    main()
