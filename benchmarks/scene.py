"""Prediction of a large scene: tiles per second and memory, compared with opening the file for every tile.

    python -m benchmarks.scene [--pixels 4000] [--tile 48] [--rounds 3]

The scene is written for the run: four bands of 16 bits, deflate, in strips, like most rasters. Both sides
read the same tiles with the same code (pixels, nodata, place); one keeps the file open, so that GDAL's cache
has the strips that a tile shares with its neighbours. Then ``geomoe predict SCENE --output FILE.tif`` runs in
a separate process with an untrained network of four blocks, and again on a quarter of the scene, to see how
much more memory the whole scene needs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from benchmarks.side_by_side import interleave, verdict
from geomoe.build import build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import DataConfig, ModelConfig, RunConfig
from geomoe.inference.tiles import Item, Tiles, make_tiling
from geomoe.reading import raster
from geomoe.reading.opening import KeptOpen, open_raster

BAR_READ = 3.0
BAR_MEMORY = 1.5
READ = 400  # tiles that are read: some rows of the scene


def write_scene(path: Path, pixels: int) -> None:
    """Write four bands of 16 bits: coarse squares with noise."""
    generator = np.random.default_rng(0)
    shape = {"count": 4, "height": pixels, "width": pixels, "dtype": "uint16", "crs": "EPSG:32632"}
    place = from_origin(4e5, 5.6e6, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", compress="deflate", predictor=2, transform=place, **shape
    ) as file:
        for band in range(1, 5):
            coarse = generator.integers(100, 3000, (pixels // 50 + 1,) * 2).repeat(50, 0).repeat(50, 1)
            noise = generator.integers(0, 50, (pixels, pixels))
            file.write((coarse[:pixels, :pixels] + noise).astype(np.uint16), band)


def write_checkpoint(path: Path, tile: int) -> None:
    """Write the checkpoint of an untrained network for such scenes."""
    config = RunConfig(data=DataConfig(name="folder"), model=ModelConfig(image_size=32))
    info = {
        "name": "folder", "classes": ["a", "b", "c"], "domains": ["all"], "uncounted": [], "bands": 4,
        "image_size": 32, "mean": [1500.0] * 4, "std": [900.0] * 4, "held_out": None, "split_seed": 0,
        "data_hash": "none", "places": {"lon": [9.0], "lat": [50.0], "within_km": 0.0}, "source_pixels": tile,
    }  # fmt: skip
    torch.manual_seed(0)
    save_checkpoint(path, build_network(config, info), config, info)


def read_all(tiles: Tiles, opened: object) -> float:
    """Read some tiles; the sum of their pixels."""
    total = 0.0
    for item in tiles[:READ]:
        with opened(item.path) as source:  # type: ignore[operator]
            left, top, width, height = item.window or (0, 0, 0, 0)
            total += float(np.nansum(raster.read_pixels(source, (), item.window)))
            raster.place_of(source, left + width / 2, top + height / 2)
    return total


def predict(folder: Path, scene: str) -> tuple[float, int]:
    """Seconds and peak memory (KB) of a whole prediction."""
    argv = [sys.executable, "-m", "geomoe", "predict", "--checkpoint", str(folder / "net.ckpt")]
    argv += [str(folder / scene), "--output", str(folder / f"{scene}-classes.tif"), "--quiet"]
    code = f"import resource, subprocess; subprocess.run({argv!r}, check=True, capture_output=True);"
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    begun = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, int(told.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pixels", type=int, default=4000)
    parser.add_argument("--tile", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.tif", args.pixels)
        write_scene(folder / "quarter.tif", args.pixels // 2)
        write_checkpoint(folder / "net.ckpt", args.tile)
        tiling = make_tiling(args.tile, 0.5)
        tiles = Tiles(Item("scene", folder / "scene.tif"), tiling, args.pixels, args.pixels)
        kept = KeptOpen()
        sides = {"kept": lambda: read_all(tiles, kept.open), "opened": lambda: read_all(tiles, open_raster)}
        same = sides["kept"]() == sides["opened"]()
        times = {side: statistics.median(took) for side, took in interleave(sides, args.rounds).items()}
        mb = (folder / "scene.tif").stat().st_size / 1e6
        print(f"{args.pixels} x {args.pixels} x 4, uint16, {mb:.0f} MB, tiles of {args.tile}; same: {same}")
        for side, what in (("opened", "file opened for each tile"), ("kept", "file kept open")):
            print(f"  {what}: {READ / times[side]:,.0f} tiles/s read on one core")
        faster = times["opened"] / times["kept"]
        verdict("file kept open against opened each time", faster, BAR_READ, at_least=True, unit="x")
        seconds, memory = predict(folder, "scene.tif")
        _, smaller = predict(folder, "quarter.tif")
        print(f"  whole prediction: {len(tiles):,} tiles, {len(tiles) / seconds:,.0f} tiles/s with start-up")
        print(f"  peak memory: {memory / 1e3:,.0f} MB; of a quarter of the scene {smaller / 1e3:,.0f} MB")
        verdict("memory, the scene against a quarter of it", memory / smaller, BAR_MEMORY, unit="x")


if __name__ == "__main__":
    main()
