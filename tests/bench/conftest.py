"""A small data set on disk with places and domains, on which a run takes less than a second."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

DOMAINS = {"east": (100, 30), "west": (-100, 40), "north": (10, 60)}


def make_pictures(folder):
    """Write 162 pictures of two classes in three domains, and their table."""
    generator, rows = np.random.default_rng(0), []
    for number in range(162):
        domain, label = list(DOMAINS)[number % 3], ("dark", "bright")[number // 3 % 2]
        level = 90 if label == "dark" else 150
        pixels = generator.normal(level, 60, (32, 32, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lon, lat = DOMAINS[domain] + generator.uniform(-8, 8, 2)
        split = ("train", "train", "val", "test")[number // 6 % 4]
        rows.append([f"{number}.png", label, f"{lon:.4f}", f"{lat:.4f}", domain, split])
    with (folder / "points.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["filename", "label", "lon", "lat", "domain", "split"], *rows])
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with these pictures."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def small(pictures):
    """A spec whose runs take less than a second."""
    return {
        "data": {"name": "folder", "root": str(pictures), "metadata": "points.csv", "batch_size": 16},
        "held_out": "east",
        "algorithms": ["erm", {"name": "moge", "settings": {"model": {"num_experts": 2, "top_k": 1}}}],
        "seeds": 2,
        "budget": 6,
        "bootstrap": 50,
        "settings": {
            "trainer": {"threads": 1, "accelerator": "cpu"},
            "encoder": {"legendre_polys": 4},
            "model": {"image_size": 32},
        },
    }


@pytest.fixture
def small_bench(pictures, tmp_path):
    """Words of a command for one short run, and its output folder."""
    words = [
        "bench",
        "--data",
        "folder",
        "--algorithms",
        "erm",
        "--budget",
        "3",
        "--seeds",
        "1",
        "--held-out",
        "east",
    ]
    settings = [
        f"data.root={pictures}",
        "data.metadata=points.csv",
        "data.batch_size=16",
        "trainer.accelerator=cpu",
    ]
    flags = [word for one in settings for word in ("--set", one)]
    return [*words, *flags, "--output", str(tmp_path / "out")], tmp_path / "out"
