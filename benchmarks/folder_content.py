"""The cost of noticing changed pixels: the first scan of a folder, the next one, and one byte by byte.

    python -m benchmarks.folder_content [--images 2000] [--pixels 64] [--rounds 3]

The benchmark writes images of four bands of 16 bits. ``stat`` is the work of a scan that compares only size
and time, ``sample`` that of every run, ``content`` that of the first run and of ``geomoe data check``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.transform import from_origin

from geomoe.reading.raster import read_header
from geomoe.support.content import content_of, sample_of, size_and_time

if TYPE_CHECKING:
    from collections.abc import Callable


def write(folder: Path, images: int, pixels: int) -> list[Path]:
    """Write images of noise."""
    rng, paths = np.random.default_rng(0), []
    options = {"driver": "GTiff", "count": 4, "height": pixels, "width": pixels, "dtype": "uint16"}
    for number in range(images):
        paths.append(folder / f"{number}.tif")
        place = {"crs": "EPSG:32633", "transform": from_origin(5e5 + 640 * number, 5e6, 10, 10)}
        with rasterio.open(paths[-1], "w", **options, **place) as file:
            file.write(rng.integers(0, 4000, (4, pixels, pixels), dtype="uint16"))
    return paths


def main() -> None:
    """Print the median of each way for one image."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ways: dict[str, Callable[[Path], object]] = {
        "stat": size_and_time,
        "sample": sample_of,
        "content": content_of,
        "header": read_header,
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), args.images, args.pixels)
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        print(f"{len(paths)} images of {size:,.0f} kB, in the cache of the system")
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                for path in paths:
                    way(path)
                taken[name].append((time.perf_counter() - start) / len(paths))
        for name, times in taken.items():
            print(f"  {name:8} {1e6 * statistics.median(times):7.1f} us an image")


if __name__ == "__main__":
    main()
