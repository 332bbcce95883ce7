"""Data sets of PNG files; importable by other processes."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.cache import make
from geomoe.reading.pictures import read_rgb


class Pictures(LabelledImages):
    """PNGs ``{row}.png`` in a folder; rows may be any numbers. Notes each opening in ``opened.txt``."""

    classes = ("odd", "even")
    regions = ("west", "east")

    def __init__(self, folder, rows, split="train", image_size=None, lonlat=None, domain=None, label=None):
        rows = np.asarray(rows, dtype=np.int64)
        self.folder = Path(folder)
        places = np.stack([rows % 360 - 180.0, rows % 90 * 1.0], axis=1) if lonlat is None else lonlat
        label = rows % 2 if label is None else np.asarray(label)
        domain = rows % 2 if domain is None else np.asarray(domain)
        columns = Columns(np.asarray(places, dtype=np.float64), label, domain, rows, rows)
        super().__init__(columns, split=split, image_size=image_size, data_hash="0" * 64)

    def load_image(self, index):
        row = self.rows[index]
        with (self.folder / "opened.txt").open("a") as log:
            log.write(f"{row}\n")
        time.sleep(float(os.environ.get("PICTURES_SLEEP", "0")))
        return read_rgb(self.folder / f"{row}.png")


def opened(folder):
    """Rows in the order in which they were opened; the list starts anew."""
    path = Path(folder) / "opened.txt"
    rows = [int(line) for line in path.read_text().split()] if path.exists() else []
    path.unlink(missing_ok=True)
    return rows


def cache_slowly(folder, cache, rows):
    """Cache them in chunks of four, in a process that may be killed."""
    make.CHUNK = 4
    make.make_cache(cache, [Pictures(folder, rows)])


def number_of_colours(path):
    """How many colours a picture has: an empty page has one."""
    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
        return len(rgb.getcolors(rgb.width * rgb.height))


def draw(folder, rows, size=12):
    """Write random PNGs; the pixels, (n, size, size, 3) uint8."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8)
    for row, image in zip(rows, pixels, strict=True):
        Image.fromarray(image).save(folder / f"{row}.png")
    return pixels


DOMAINS = {"east": (100, 30), "west": (-100, 40), "north": (10, 60)}


def make_pictures(folder):
    """Write 162 pictures of two classes in three domains, and points.csv; a run takes under a second."""
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
