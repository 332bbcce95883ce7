"""Expert maps: speed against torchgeo's SatCLIP, memory of a whole table, size of a page.

Run: python -m benchmarks.map [--rows 24] [--pairs 7] [--skip-memory]

The network is SatCLIP's location encoder with random weights (40 Legendre polynomials, SIREN 512 x 2,
256 wide), geomoe's head and a router of 12 experts, on 0.25-degree cells. One thread; both paths are
run in turn on the same rows, spread from pole to pole; the bar is on the ratio of medians. The peer
is torchgeo >= 0.10 (Python >= 3.12): its SatCLIP in float32, in chunks of 8192 cells, then the same
head and router. Memory is that of a fresh process which asks the router in every cell.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch

from benchmarks.side_by_side import verdict
from geomoe.coords import make_grid

STEP, CHUNK = 0.25, 8192
SPEED_BAR, MEMORY_BAR, PAGE_BAR = 1.8, 300, 5


def network(blocks=(2,), experts=12, top_k=3):
    """MoGE blocks routed by SatCLIP's encoder with random weights."""
    from geomoe.encoders import SatCLIP, SatCLIPEncoder
    from geomoe.models import add_moge, create_backbone

    torch.manual_seed(0)
    encoder = SatCLIPEncoder(SatCLIP(40, 512, 256, 2).float())
    vit = create_backbone("vit_quick", num_classes=2, image_size=32)
    return add_moge(vit, encoder, blocks=blocks, num_experts=experts, top_k=top_k).eval()


def ours(model, grid, lat):
    """Logits of the router on whole rows: the path of geomoe map-experts."""
    parts = [model.route(embedding)[0].logits for _, embedding in model.encoder.embed_grid(grid.lon, lat)]
    return torch.cat(parts)


def theirs(peer, model, lonlat):
    """The same with torchgeo's SatCLIP, chunk by chunk."""
    encoder = model.encoder
    parts = [peer(part) for part in lonlat.split(CHUNK)]
    return torch.cat([model.route(encoder.head(encoder.standardise(part)))[0].logits for part in parts])


def speed(rows, pairs):
    """Ratio of medians on the same cells."""
    try:
        module = importlib.import_module("torchgeo.models.satclip")
    except ImportError:
        print("speed: not judged, needs torchgeo >= 0.10 (Python >= 3.12)")
        return
    model, grid = network(), make_grid(STEP)
    peer = module.SatCLIP(40, 512, 256, 2).eval()
    peer.nnet.load_state_dict(model.encoder.network.nnet.state_dict())
    lat = grid.lat[np.linspace(1, len(grid.lat) - 2, rows).round().astype(int)]  # torchgeo clamps the poles
    lon, north = np.meshgrid(grid.lon, lat)
    lonlat = torch.from_numpy(np.stack([lon.ravel(), north.ravel()], axis=1)).float()
    times = {"ours": [], "theirs": []}
    for pair in range(pairs + 1):  # the first warms up
        start = time.perf_counter()
        first = ours(model, grid, lat)
        middle = time.perf_counter()
        second = theirs(peer, model, lonlat)
        if pair:
            times["ours"].append(middle - start)
            times["theirs"].append(time.perf_counter() - middle)
    here, there = median(times["ours"]), median(times["theirs"])
    spread = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
    print(f"speed, {len(lonlat):,} cells ({rows} of {len(grid.lat)} rows), {pairs} pairs, 1 thread:")
    print(f"  geomoe {here:.3g} s, torchgeo float32 in chunks of {CHUNK} {there:.3g} s")
    print(f"  pair by pair {min(spread):.2f}x to {max(spread):.2f}x; logits differ by at most "
          f"{float((first - second).abs().max()):.1e}")  # fmt: skip
    verdict("faster than torchgeo", there / here, SPEED_BAR, at_least=True, unit="x")


def resident(field):
    """VmRSS (now) or VmHWM (peak) of this process in MB; Linux only."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1024


def memory_of_one_table():
    """In a fresh process: the whole Earth, peak above what imports and the network take."""
    from geomoe.mapping.ask import route_grid
    from geomoe.mapping.table import RoutingTable

    model, grid = network(), make_grid(STEP)
    route_grid(model, make_grid(30.0))  # lazy imports and thread pools are not the table's
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # reset the peak memory
    before, start = resident("VmRSS"), time.perf_counter()
    table = RoutingTable(grid, route_grid(model, grid), ("block 2",))
    print(resident("VmHWM") - before, table.weights.nbytes / 2**20, time.perf_counter() - start)


def memory():
    """Run the above and judge it."""
    command = [sys.executable, "-c", "from benchmarks import map; map.start(); map.memory_of_one_table()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"memory: not measured: {done.stderr.strip().splitlines()[-1]}")
        return
    peak, held, seconds = map(float, done.stdout.split())
    print(f"memory, whole Earth at {STEP} degrees, 12 experts: the table is {held:.0f} MB, {seconds:.0f} s")
    verdict("peak above the baseline", peak, MEMORY_BAR, unit=" MB")


def sample_points(count):
    """Samples everywhere, as many as bluemarble has."""
    from geomoe.mapping.table import Points

    rng = np.random.default_rng(0)
    lonlat = np.stack([rng.uniform(-180, 180, count), rng.uniform(-57, 72, count)], axis=1)
    label, region = rng.integers(0, 12, count), rng.integers(0, 5, count)
    predicted = np.where(rng.random(count) < 0.6, label, rng.integers(0, 12, count))
    names = tuple(f"class {number}" for number in range(12))
    regions = ("Asia", "Europe", "Africa", "Americas", "Oceania")
    return Points(lonlat, region, label, predicted, rng.random(count) < 0.3, regions, names)


def page(step):
    """12 weight layers, 2 dominant-expert and 2 entropy layers, 20,000 points, coastlines."""
    from geomoe.encoders import create_encoder
    from geomoe.mapping.ask import route_grid
    from geomoe.mapping.draw import summarise
    from geomoe.mapping.page import render_page
    from geomoe.mapping.table import RoutingTable
    from geomoe.models import add_moge, create_backbone

    torch.manual_seed(0)
    vit = create_backbone("vit_quick", num_classes=2, image_size=32)
    model = add_moge(vit, create_encoder("sh"), blocks=(2, 3), num_experts=6, top_k=3).eval()
    grid = make_grid(step)
    table = RoutingTable(grid, route_grid(model, grid), ("block 2", "block 3"))
    start = time.perf_counter()
    text = render_page(table, summarise(table), sample_points(20_000), "Asia")
    notes = text[text.index('"Weights: ') :].split('"')[1]
    print(
        f"page, {step} degrees, sh with L = 10, 12 layers, 20,000 points: {time.perf_counter() - start:.1f} s"
    )
    print(f"  {notes.encode('ascii').decode('unicode_escape')}")
    size = len(text.encode())
    verdict("size of the page", size / 1e6, PAGE_BAR, unit=" MB")


def start():
    """One thread, no gradients."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


def main():
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=24, help="rows of 1440 cells in the speed comparison")
    parser.add_argument("--pairs", type=int, default=7, help="timed pairs")
    parser.add_argument("--skip-memory", action="store_true", help="leave out the whole Earth (a minute)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    start()
    speed(args.rows, args.pairs)
    if not args.skip_memory:
        memory()
    page(0.5)
    page(0.25)


if __name__ == "__main__":
    main()
