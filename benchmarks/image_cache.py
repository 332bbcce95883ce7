"""Images per second and core: the cache compared with the folder of files that it was made from.

    python -m benchmarks.image_cache [--images 512] [--pixels 224] [--rounds 5]

Both sides are the same data set asked for the same shuffled batches as the training loader asks
(``__getitems__`` and ``collate``); what comes out is compared first. Images are written for the run: smooth
colours with noise, as PNG of about 100 KB at 224 pixels, as FMoW's are (103 KB), and as GeoTIFF of four bands
of 16 bits (deflate), as in data of one's own. CPU time of the process on one thread, medians over rounds that
take turns; the cache's file is in the page cache, as it is after an epoch on a machine with room for it. A
cache of bytes hands out bytes, which become floats on the device; one line before its bar is what it would
be if they became floats on the host. A cache of 16 bits hands out floats.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from benchmarks.side_by_side import interleave, verdict
from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.cache.make import make_cache
from geomoe.datasets.collate import collate
from geomoe.reading.pictures import read_rgb
from geomoe.reading.raster import load_image

BAR = 10.0
BATCH = 64
FILL = np.zeros(4, dtype=np.float32)  # for pixels without data; there are none


class Folder(LabelledImages):
    """Files ``0.png``, ``1.png``, ... of a folder, or ``0.tif``, ``1.tif``, ..."""

    classes, regions = ("picture",), ("nowhere",)

    def __init__(self, folder: Path, images: int, suffix: str) -> None:
        self.folder, self.suffix, rows = folder, suffix, np.arange(images)
        self.pixel_type = "uint16" if suffix == "tif" else "uint8"
        zeros, nowhere = np.zeros(images, dtype=np.int64), np.full((images, 2), np.nan)
        super().__init__(Columns(nowhere, zeros, zeros, rows, rows), split="train", data_hash="benchmark")

    def load_image(self, index: int) -> torch.Tensor:
        """Decode one file, as every reader of picture files here does, or as ``folder`` does."""
        path = self.folder / f"{index}.{self.suffix}"
        return read_rgb(path) if self.suffix == "png" else load_image(path, (), FILL)


def write_images(folder: Path, images: int, pixels: int, suffix: str) -> float:
    """Write the images; mean size of a file in KB."""
    generator = np.random.default_rng(0)
    bands = 3 if suffix == "png" else 4
    for number in range(images):
        coarse = Image.fromarray(generator.integers(0, 256, (8, 8, bands), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + generator.normal(0, 6, smooth.shape)).clip(0, 255)
        if suffix == "png":
            Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{number}.png")
        else:
            write_raster(folder / f"{number}.tif", (noisy.transpose(2, 0, 1) * 16).astype(np.uint16))
    return statistics.mean(path.stat().st_size for path in folder.glob(f"*.{suffix}")) / 1e3


def write_raster(path: Path, values: np.ndarray) -> None:
    """Write a GeoTIFF of 16 bits whose fourth band is data."""
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    how = {"driver": "GTiff", "compress": "deflate", "photometric": "minisblack"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **how, **shape) as file:
            file.write(values)


def ask(data: Folder, rows: np.ndarray) -> torch.Tensor:
    """Read one batch in the same way as a loader."""
    return collate(data.__getitems__(rows.tolist()))["image"]


def walk(data: Folder, batches: list[np.ndarray], *, floats: bool = False) -> None:
    """Read one batch after another; as in training, none is kept."""
    for rows in batches:
        image = ask(data, rows)
        if floats:
            image.float()


def compare(images: int, pixels: int, rounds: int, suffix: str) -> None:
    """Write images, make the cache, read both in turns, and print the results."""
    kind = {"png": "PNG", "tif": "GeoTIFF"}[suffix]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = write_images(folder, images, pixels, suffix)
        files, cached = Folder(folder, images, suffix), Folder(folder, images, suffix)
        cached.cached = make_cache(folder / "cache", [files])
        order = np.random.default_rng(1).permutation(images)
        batches = [order[i : i + BATCH] for i in range(0, images, BATCH)]
        same = all(torch.equal(ask(files, rows).float(), ask(cached, rows).float()) for rows in batches)
        held = cached.cached.pixels.dtype
        what = f"{images} {kind} of {pixels} pixels, {held}, {size:.0f} KB each"
        print(f"{what}, batches of {BATCH}; same: {same}")
        if not same:
            raise SystemExit("the cache gives other pixels than the files")
        cases = {
            f"{kind} folder": lambda: walk(files, batches),
            "cache": lambda: walk(cached, batches),
        }
        if held == np.uint8:
            cases["cache, floats made here"] = lambda: walk(cached, batches, floats=True)
        seconds = {name: statistics.median(times) for name, times in interleave(cases, rounds).items()}
    for name, value in seconds.items():
        print(f"  {name}: {images / value:,.0f} images/s on one core", flush=True)
    slowest, *fast = seconds.values()
    if len(fast) > 1:
        print(f"  cache against {kind} folder, with floats made on the host: {slowest / fast[1]:.1f}x")
    verdict(f"cache against {kind} folder", slowest / fast[0], BAR, at_least=True, unit="x")


def main() -> None:
    """Compare for pictures, then for rasters."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for suffix in ("png", "tif"):
        compare(args.images, args.pixels, args.rounds, suffix)


if __name__ == "__main__":
    main()
