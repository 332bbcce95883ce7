"""What location encoders can distinguish in a region: a chequerboard of 8 x 8 fields over Germany.

Run: python -m benchmarks.resolution [--seeds 3] [--epochs 100]

Each encoder, with its own head and a linear layer after it, learns from 2,000 places whether a place is in a
dark field or a bright one, and is tested on 2,000 others; guessing is right for half of them. A field is 108
km high and 72 to 86 km wide. Features are computed once, as in training. One thread; seconds are CPU seconds
of features and training together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from geomoe.earth.extent import extent_km
from geomoe.encoders import LocationEncoder, create_encoder

#: West, south, east and north of Germany in degrees.
BOX = (5.9, 47.3, 15.0, 55.1)
FIELDS, PLACES, BATCH, RATE = 8, 2_000, 250, 3e-3
ENCODERS = {
    "sh, L = 10": {"name": "sh", "legendre_polys": 10},
    "sh, L = 40": {"name": "sh", "legendre_polys": 40},
    "sh, L = 101": {"name": "sh", "legendre_polys": 101},
    "fourier, 100 km": {"name": "fourier", "finest_km": 100},
    "fourier, 126 km": {"name": "fourier", "finest_km": 126},  # an eighth of the extent, as auto chooses
}


@dataclass(frozen=True)
class Found:
    """The result of one encoder with one seed."""

    features: int
    resolution_km: float
    learned: float  # share of the training places that are right
    right: float  # share of the other places that are right
    seconds: float


def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """2 x PLACES places in the box, lonlat (N, 2) degrees, and their fields' colours (N,), 0 or 1."""
    west, south, east, north = BOX
    share = torch.rand(2 * PLACES, 2, dtype=torch.float64, generator=generator)
    lonlat = torch.tensor([west, south]) + share * torch.tensor([east - west, north - south])
    return lonlat, (share * FIELDS).long().sum(dim=1) % 2


def learn(encoder: LocationEncoder, features: Tensor, colour: Tensor, epochs: int) -> nn.Linear:
    """Train the head and a linear layer on features (N, F) and colours (N,); the rate falls as a cosine."""
    last = nn.Linear(encoder.out_dim, 2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *last.parameters()], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(colour) // BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(len(colour)).split(BATCH):
            loss = nn.functional.cross_entropy(last(encoder.embed(features[rows])), colour[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return last


def run(settings: dict, seed: int, epochs: int) -> Found:
    """Draw places, train on the first half, and test on all."""
    lonlat, colour = draw(torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    start = time.process_time()
    encoder = create_encoder(**settings)
    features = encoder.feature_table(lonlat)
    last = learn(encoder, features[:PLACES], colour[:PLACES], epochs)
    with torch.no_grad():
        right = (last(encoder.embed(features)).argmax(dim=1) == colour).double()
    seconds = time.process_time() - start
    learned, other = right[:PLACES].mean().item(), right[PLACES:].mean().item()
    return Found(encoder.feature_dim, encoder.resolution_km, learned, other, seconds)


def row(name: str, runs: list[Found]) -> str:
    """A line of the table: means over seeds, and the standard deviation if there are several seeds."""
    right = [100 * found.right for found in runs]
    spread = f" ± {statistics.stdev(right):.1f}" if len(runs) > 1 else ""
    learned = statistics.fmean(100 * found.learned for found in runs)
    seconds = statistics.fmean(found.seconds for found in runs)
    first = f"| {name} | {runs[0].features:,} | {runs[0].resolution_km:,.0f} km "
    return f"{first}| {learned:.1f} | {statistics.fmean(right):.1f}{spread} | {seconds:.0f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    extent = extent_km(np.asarray(draw(torch.Generator().manual_seed(0))[0]))
    print(f"{PLACES:,} places to learn from, {PLACES:,} others, {extent:,.0f} km across", end="; ")
    print(f"{arguments.epochs} epochs, {arguments.seeds} seeds\n")
    print("| encoder | features | resolution | learned % | right % | CPU s |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, settings in ENCODERS.items():
        runs = [run(settings, seed, arguments.epochs) for seed in range(arguments.seeds)]
        print(row(name, runs), flush=True)


if __name__ == "__main__":
    main()
