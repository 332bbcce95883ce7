"""Spherical harmonics against torchgeo's and Microsoft's: speed, error, memory.

Run: python -m benchmarks.sh

One thread, contestants interleaved in one process, medians of CPU seconds (with one thread the same as
elapsed ones on an idle machine, and steadier on a busy one); the bars are on ratios. torchgeo >= 0.10
(Python 3.12) and rangegeo (which contains Microsoft's generated formulas) are peers; a missing peer is
named, and its bars are not judged.
"""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
import time
from itertools import pairwise
from statistics import median

import numpy as np
import torch

from benchmarks.side_by_side import verdict
from geomoe.encoders import SphericalHarmonics

L = 40
#: Places in a call, calls in a sample (short calls are timed together), samples.
RUNS = ((1_000, 5, 15), (100_000, 1, 3))
BARS = {
    (1_000, "torchgeo"): 2.5,
    (100_000, "torchgeo"): 3.0,
    (1_000, "Microsoft"): 50.0,
    (100_000, "Microsoft"): 10.0,
}

MEMORY = """
import sys, threading, time, torch
from geomoe.encoders import SphericalHarmonics
torch.set_num_threads(1)
n, L = 50_000, 40
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
places = torch.rand(n, 2, dtype=torch.float64) * 170 - 85
if sys.argv[1] == "ours":
    make = SphericalHarmonics(L)
else:
    from torchgeo.models.satclip import SphericalHarmonics as Peer
    torch.set_default_dtype(torch.float64)
    make = Peer(L)
make(places[:10])
before, seen, done = resident(), [], False
def watch():  # a process inherits its parent's recorded peak, so the peak is looked at, not asked for
    while not done:
        seen.append(resident())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
out = make(places)
done = True
watcher.join()
print((max(*seen, resident()) - before) / (out.numel() * out.element_size()))
"""


def peers():
    """Name -> callable, and the names of missing peers."""
    found, missing = {}, []
    try:
        module = importlib.import_module("torchgeo.models.satclip")
        torch.set_default_dtype(torch.float64)  # else its constants are rounded to float32
        found["torchgeo"] = module.SphericalHarmonics(L)
        torch.set_default_dtype(torch.float32)
    except ImportError:
        missing.append("torchgeo >= 0.10 (needs Python >= 3.12)")
    try:
        module = importlib.import_module("rangegeo.satclip.positional_encoding.spherical_harmonics")
        found["Microsoft"] = module.SphericalHarmonics(L, "analytic")
    except ImportError:
        missing.append("rangegeo (pip install rangegeo)")
    return found, missing


def sphere(number):
    """(number, 2) places, uniform over the sphere, at most 89.9 degrees from the equator."""
    uniform = torch.rand(number, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lat = torch.rad2deg(torch.asin(2 * uniform[:, 1] - 1)).clamp(-89.9, 89.9)
    return torch.stack([360 * uniform[:, 0] - 180, lat], dim=1)


def speed(contestants):
    """Interleaved medians; Microsoft's formulas, which are slow, take part in a third of the samples."""
    for number, calls, samples in RUNS:
        places = sphere(number)
        times = {name: [] for name in contestants}
        for sample in range(-1, samples):
            for name, make in contestants.items():
                if name == "Microsoft" and sample > 0 and sample % 3:
                    continue
                make(places[:16])
                start = time.process_time()
                for _ in range(calls):
                    out = make(places)
                    del out
                if sample >= 0:  # the first round warms up
                    times[name].append((time.process_time() - start) / calls)
        ours = median(times["geomoe"])
        print(f"speed, {number} places, L={L}, float64: geomoe {ours * 1e3:.4g} ms")
        for name in contestants:
            if name != "geomoe":
                verdict(
                    f"faster than {name}",
                    median(times[name]) / ours,
                    BARS[number, name],
                    at_least=True,
                    unit="x",
                )


def truth(places):
    """SatCLIP's harmonics from scipy, in float64."""
    from scipy.special import sph_harm_y

    lon, lat = np.radians(places.double().numpy()).T
    out = np.empty((len(lon), L * L))
    for n in range(L):
        for m in range(n + 1):
            value = (
                (-1.0) ** (n + m) * sph_harm_y(n, m, np.pi / 2 - lat, lon) * (math.pi if m == 0 else 2**0.5)
            )
            out[:, n * n + n + m] = value.real
            if m:
                out[:, n * n + n - m] = value.imag
    return out


def exact(places):
    """The same from Rodrigues' sum with 60 digits, for a few places."""
    import mpmath

    out = np.zeros((len(places), L * L))
    with mpmath.workdps(60):
        for row, (lon, lat) in enumerate(places.tolist()):
            azimuth, z = mpmath.radians(mpmath.mpf(lon)), mpmath.sin(mpmath.radians(mpmath.mpf(lat)))
            radius = mpmath.cos(mpmath.radians(mpmath.mpf(lat)))
            for n in range(L):
                poly = [0] * (n + 1)
                for k in range(n // 2 + 1):
                    poly[2 * k] = (-1) ** k * math.comb(n, k) * math.comb(2 * n - 2 * k, n)
                for m in range(n + 1):
                    size = (
                        mpmath.mpf(2 * n + 1)
                        / (4 * mpmath.pi)
                        * math.factorial(n - m)
                        / math.factorial(n + m)
                    )
                    value = (
                        (-1) ** n
                        * mpmath.sqrt(size)
                        * mpmath.polyval(poly, z)
                        / mpmath.mpf(2) ** n
                        * radius**m
                    )
                    value *= mpmath.pi if m == 0 else mpmath.sqrt(2)
                    out[row, n * n + n + m] = value * mpmath.cos(m * azimuth)
                    if m:
                        out[row, n * n + n - m] = value * mpmath.sin(m * azimuth)
                    poly = [c * p for c, p in zip(poly[:-1], range(n - m, 0, -1), strict=True)] or [0]
    return out


def accuracy():
    """Largest error over all features: 60 digits at awkward places, scipy at many."""
    awkward = [[0, 90], [77, -90], [180, 10], [0, 0], [12, 89.99], [5, -89.999], [3, 89.7], [-123.4, 61.7]]
    few, many = torch.tensor(awkward, dtype=torch.float64), sphere(20_000)
    ring = torch.stack([torch.linspace(-180, 180, 2001), torch.linspace(-90, 90, 2001)], dim=1).double()
    many = torch.cat([many, ring])
    ours = SphericalHarmonics(L)
    print(f"largest error, L={L}, poles included")
    verdict("float64 against 60 digits", np.abs(ours(few).numpy() - exact(few)).max(), 1e-12)
    verdict("float64 against scipy", np.abs(ours(many).numpy() - truth(many)).max(), 1e-12)
    single = torch.cat([few, many]).float()
    error = np.abs(ours(single).double().numpy() - truth(single)).max()
    verdict("float32 against scipy", error, 2e-4)


def microsoft_errors(formulas):
    """Print the error of Microsoft's generated formulas by latitude."""
    edges = (0, 30, 45, 50, 55, 60, 66, 75, 85, 90)
    places = sphere(20_000)
    wrong = np.abs(formulas(places).numpy() - truth(places)).max(axis=1)
    lat = places[:, 1].abs().numpy()
    bands = [f"{a}-{b}: {wrong[(lat >= a) & (lat < b)].max():.0e}" for a, b in pairwise(edges)]
    print(
        f"Microsoft's formulas, L={L}, float64, largest error by degrees from the equator: {', '.join(bands)}"
    )


def memory(names):
    """Peak resident memory of one call relative to the size of its output, each in a separate process."""
    print(f"peak memory above the start, 50000 places, L={L}, float64")
    for name in names:
        command = [sys.executable, "-c", MEMORY, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        ratio = float(done.stdout)
        if name == "ours":
            verdict("peak / output", ratio, 1.2, unit="x")
        else:
            print(f"        {name}: {ratio:.3g}x")


def main() -> None:
    """Print every bar."""
    torch.set_num_threads(1)
    found, missing = peers()
    for what in missing:
        print(f"missing, its bars are not judged: {what}")
    with torch.no_grad():
        speed({"geomoe": SphericalHarmonics(L), **found})
        accuracy()
        if "Microsoft" in found:
            microsoft_errors(found["Microsoft"])
    memory(["ours", *(["torchgeo"] if "torchgeo" in found else [])])


if __name__ == "__main__":
    main()
