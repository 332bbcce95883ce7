"""Images per second and core: the cache beside the PNG folder that it was made from.

    python -m benchmarks.image_cache [--images 512] [--pixels 224] [--rounds 5]

Both sides are the same data set asked for the same shuffled batches as the training loader asks
(``__getitems__`` and ``collate``); what comes out is compared first. The pictures are written for the run:
smooth colours with noise, about 100 KB each at 224 pixels, as FMoW's are (103 KB). CPU time of the process
on one thread, medians over rounds that take turns; the cache's file is in the page cache, as it is after an
epoch on a machine with room for it. The cache hands out bytes, which become floats on the
device; the line before the bar is what it would be if they became floats on the host.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.side_by_side import interleave, verdict
from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.collate import collate
from geomoe.datasets.images import read_rgb
from geomoe.datasets.make_cache import make_cache

BAR = 10.0
BATCH = 64


class Folder(LabelledImages):
    """PNG files ``0.png``, ``1.png``, ... of a folder."""

    classes, regions = ("picture",), ("nowhere",)

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, rows = folder, np.arange(images)
        zeros, nowhere = np.zeros(images, dtype=np.int64), np.full((images, 2), np.nan)
        super().__init__(Columns(nowhere, zeros, zeros, rows, rows), split="train", data_hash="benchmark")

    def load_image(self, index: int) -> torch.Tensor:
        """Decode one file, as every reader of picture files here does."""
        return read_rgb(self.folder / f"{index}.png")


def write_pictures(folder: Path, images: int, pixels: int) -> float:
    """Write the pictures; mean size of a file in KB."""
    generator = np.random.default_rng(0)
    for number in range(images):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        smooth = np.asarray(
            Image.fromarray(coarse).resize((pixels, pixels), Image.Resampling.BICUBIC), np.int16
        )
        noisy = smooth + generator.normal(0, 6, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return statistics.mean(path.stat().st_size for path in folder.glob("*.png")) / 1e3


def ask(data: Folder, rows: np.ndarray) -> torch.Tensor:
    """One batch, as a loader makes it."""
    return collate(data.__getitems__(rows.tolist()))["image"]


def main() -> None:
    """Write pictures, make the cache, read both in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = write_pictures(folder, args.images, args.pixels)
        files, cached = Folder(folder, args.images), Folder(folder, args.images)
        cached.cached = make_cache(folder / "cache", [files])
        order = np.random.default_rng(1).permutation(args.images)
        batches = [order[i : i + BATCH] for i in range(0, args.images, BATCH)]
        same = all(torch.equal(ask(files, rows).float(), ask(cached, rows).float()) for rows in batches)
        print(
            f"{args.images} PNG of {args.pixels} pixels, {size:.0f} KB each, batches of {BATCH}; same: {same}"
        )
        if not same:
            raise SystemExit("the cache gives other pixels than the files")
        cases = {
            "PNG folder": lambda: [ask(files, rows) for rows in batches],
            "cache": lambda: [ask(cached, rows) for rows in batches],
            "cache, floats made here": lambda: [ask(cached, rows).float() for rows in batches],
        }
        seconds = {name: statistics.median(times) for name, times in interleave(cases, args.rounds).items()}
        for name, value in seconds.items():
            print(f"  {name}: {args.images / value:,.0f} images/s on one core", flush=True)
        slowest = seconds["PNG folder"] / seconds["cache, floats made here"]
        print(f"  cache against PNG folder, with floats made on the host: {slowest:.1f}x")
        verdict(
            "cache against PNG folder", seconds["PNG folder"] / seconds["cache"], BAR, at_least=True, unit="x"
        )


if __name__ == "__main__":
    main()
