"""Scores on bluemarble without a network: majority, colour, location, both.

    python -m benchmarks.bluemarble_baselines [--seeds 0 1 2 3]

Each is a small MLP (or nearest neighbours) on features of a sample, chosen on source validation:
colour statistics of the crop, spherical harmonics of its place (degrees 0 to 9), or both. Printed:
test accuracy over all regions, of the worst region, and of each region when it is left out of
training and selection, as means over the declared split seeds.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geomoe.coords import unit_vectors
from geomoe.datasets.bluemarble.crops import open_crops
from geomoe.datasets.bluemarble.index import CLASSES, REGIONS, SPLIT_SEEDS, load_index, select
from geomoe.encoders.harmonics import SphericalHarmonics

EPOCHS, WIDTH, BATCH, NEIGHBOURS = 30, 128, 256, 15


class Split(NamedTuple):
    """Rows of the index in each part."""

    train: Tensor
    val: Tensor
    test: Tensor


def colour_features(pixels: np.ndarray) -> np.ndarray:
    """Colour of a crop without its layout: mean, spread and deciles of each channel, mean of the centre."""
    flat = pixels.reshape(len(pixels), 3, -1).astype(np.float32)
    centre = pixels[:, :, 12:20, 12:20].reshape(len(pixels), 3, -1).astype(np.float32)
    deciles = np.percentile(flat, [10, 30, 50, 70, 90], axis=2).transpose(1, 2, 0).reshape(len(pixels), -1)
    parts = [flat.mean(2), flat.std(2), deciles, centre.mean(2), centre.std(2)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def mlp(x: Tensor, y: Tensor, split: Split, seed: int) -> Tensor:
    """Class of each test row by a two-layer MLP, at the epoch with the best validation accuracy."""
    train, val, test = split
    torch.manual_seed(seed)
    mean, std = x[train].mean(0), x[train].std(0).clamp_min(1e-6)
    x = (x - mean) / std
    net = nn.Sequential(
        nn.Linear(x.shape[1], WIDTH), nn.GELU(), nn.Dropout(0.2),
        nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(0.2), nn.Linear(WIDTH, len(CLASSES)),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    steps = EPOCHS * (len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, answer = -1.0, torch.empty(0)
    for _ in range(EPOCHS):
        net.train()
        for rows in train[torch.randperm(len(train))].split(BATCH)[: len(train) // BATCH]:
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            accuracy = float((net(x[val]).argmax(1) == y[val]).float().mean())
            if accuracy > best:
                best, answer = accuracy, net(x[test]).argmax(1)
    return answer


def neighbours(x: Tensor, y: Tensor, split: Split) -> Tensor:
    """Class of each test row by the vote of its nearest training rows."""
    train, _, test = split
    votes = [
        F.one_hot(
            y[train][torch.cdist(part, x[train]).topk(NEIGHBOURS, largest=False).indices], len(CLASSES)
        ).sum(1)
        for part in x[test].split(1024)
    ]
    return torch.cat(votes).argmax(1)


def by_region(answer: Tensor, y: Tensor, domain: Tensor, test: Tensor) -> list[float]:
    """Test accuracy overall and in each region, in percent."""
    right = (answer == y[test]).float()
    return [
        100 * float(right.mean()),
        *(100 * float(right[domain[test] == d].mean()) for d in range(len(REGIONS))),
    ]


class Table(NamedTuple):
    """Every sample: label and region (N,), colour and place features, unit vector of the place."""

    label: Tensor
    region: Tensor
    colour: Tensor
    place: Tensor
    sphere: Tensor


def read_table() -> Table:
    """The whole index with its features."""
    index = load_index()
    return Table(
        label=torch.tensor(index.label),
        region=torch.tensor(index.region),
        colour=torch.from_numpy(colour_features(open_crops().pixels)),
        place=SphericalHarmonics(10)(torch.tensor(index.lonlat)).float(),
        sphere=torch.from_numpy(unit_vectors(index.lonlat)).float(),
    )


def _majority(table: Table, split: Split, seed: int) -> Tensor:
    return torch.full_like(split.test, int(table.label[split.train].bincount().argmax()))


def _near_colours(table: Table, split: Split, seed: int) -> Tensor:
    seen = table.colour[split.train]
    return neighbours((table.colour - seen.mean(0)) / seen.std(0), table.label, split)


BASELINES = {
    "majority": _majority,
    "colour, 15 neighbours": _near_colours,
    "location, 15 neighbours": lambda t, split, seed: neighbours(t.sphere, t.label, split),
    "colour, MLP": lambda t, split, seed: mlp(t.colour, t.label, split, seed),
    "location, MLP": lambda t, split, seed: mlp(t.place, t.label, split, seed),
    "colour + location, MLP": lambda t, split, seed: mlp(
        torch.cat([t.colour, t.place], 1), t.label, split, seed
    ),
}


def scores(table: Table, name: str, seed: int) -> list[float]:
    """Overall, worst region, then each region when it is left out: test accuracies in percent."""
    found = []
    for held_out in (None, *REGIONS):
        parts = (select(load_index(), part, split_seed=seed, held_out=held_out) for part in Split._fields)
        split = Split(*map(torch.from_numpy, parts))
        answer = BASELINES[name](table, split, seed)
        regions = by_region(answer, table.label, table.region, split.test)
        if held_out is None:
            found += [regions[0], min(regions[1:])]
        else:
            found.append(regions[1 + REGIONS.index(held_out)])
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SPLIT_SEEDS), help="split seeds")
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    start = time.perf_counter()
    table = read_table()
    header = " | ".join(f"{region} left out" for region in REGIONS)
    print(f"| test accuracy, % | overall | worst region | {header} |")
    print("|---|" + "--:|" * (2 + len(REGIONS)))
    for name in BASELINES:
        mean = np.mean([scores(table, name, seed) for seed in seeds], axis=0)
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in mean) + " |", flush=True)
    print(f"\nmeans over split seeds {', '.join(map(str, seeds))}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
