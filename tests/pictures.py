"""A data set of PNG files for the tests of caches and checks; importable by other processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from geomoe.datasets.base import Columns, LabelledImages
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


def draw(folder, rows, size=12):
    """Write random PNGs; the pixels, (n, size, size, 3) uint8."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8)
    for row, image in zip(rows, pixels, strict=True):
        Image.fromarray(image).save(folder / f"{row}.png")
    return pixels
