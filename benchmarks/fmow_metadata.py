"""FMoW's tables at full size: seconds and memory to open a split, and to check them all.

Run: python -m benchmarks.fmow_metadata [--rows 523846] [--rounds 5] [--folder DIR]

A table of as many rows as the real one is generated (columns, lengths of text and quoting as in WILDS v1.1;
sequestered rows between the others, stamps with and without milliseconds), then fresh processes open it.
Seconds are CPU time of the first ``FMoW(root, "train")`` of a process with one thread: the wall clock of an
idle machine (that of this one is printed too); the median of the rounds is printed. Memory is the process's
peak above the memory that it used after geomoe, torch and torchgeo were imported. A plain ``pandas.read_csv``
of the six columns is measured for comparison. The check opens all five splits and does the work of ``geomoe
data check fmow --images 0``: it compares every pair of splits, and every country code with the outlines. It
is done with the official split and with a split of all rows that are not sequestered (three times as many as
in the real official split).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.side_by_side import verdict

_ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # Arrow's threads too
ROWS, SECONDS_BAR, MEMORY_BAR, CHECK_BAR = 523_846, 1.5, 150, 30

EVERYTHING = "everything.csv"

_MEASURE = """
import sys, time
from pathlib import Path
def resident(key):
    line = next(row for row in open("/proc/self/status") if row.startswith(key))
    return int(line.split()[1]) / 1024
import torch, torchgeo.datasets
from geomoe.datasets.fmow.reader import FMoW
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # reset the peak memory
before, start, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
{work}
print(time.process_time() - cpu, resident("VmHWM") - before, count, time.perf_counter() - start)
"""
_OURS = "count = len(FMoW(sys.argv[1], 'train'))"
_CHECK = """
from geomoe.checking.check import check
from geomoe.datasets.fmow.splits import SPLITS
parts = {{name: FMoW(sys.argv[1], name, protocol={protocol!r}) for name in SPLITS}}
count = sum(part.samples for part in check(parts, images=0).splits.values())
"""
_PANDAS = """
import pandas
names = ["split", "category", "country_code", "timestamp", "lat", "lon"]
frame = pandas.read_csv(Path(sys.argv[1], "fmow_v1.1", "rgb_metadata.csv"), usecols=names)
times = pandas.to_datetime(frame["timestamp"], format="ISO8601")
count = int(((frame["split"] == "train") & (times < "2013-01-01T00:00:00Z")).sum())
"""


def generate(folder, rows, seed=0):
    """Write the two tables of ``rows`` rows, a split of all of them, and the images that readers look for."""
    from geomoe.datasets.fmow.splits import SPLITS, assign
    from geomoe.datasets.fmow.tables import read_table
    from geomoe.datasets.fmow_names import CATEGORIES
    from geomoe.datasets.samples import fmow as sample

    sample.write(folder)  # the mapping and the images of its rows
    target = folder / sample.FOLDER
    rng = np.random.default_rng(seed)
    parts = rng.choice(["train", "val", "test", "seq"], rows, p=[0.694, 0.102, 0.101, 0.103]).tolist()
    labels = rng.integers(0, 62, rows).tolist()
    countries = [sample.COUNTRIES[n] for n in rng.integers(0, len(sample.COUNTRIES), rows).tolist()]
    days = np.datetime64("2002-01-01T00:00:00") + rng.integers(0, 16 * 365 * 86400, rows)
    shifts = rng.normal(0, 1, (rows, 2)).tolist()
    zone = 'PROJCS["WGS 84 / UTM zone {zone}N",' + sample.WKT + ',PROJECTION["Transverse_Mercator"],'
    zone += 'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",{degrees}],UNIT["metre",1]]'
    with (target / "rgb_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(sample.COLUMNS)
        for number in range(rows):
            name, country, part = CATEGORIES[labels[number]], countries[number], parts[number]
            stamp = f"{days[number]}" + (".643Z" if number > 90 and number % 200 == 0 else "Z")
            wkt = zone.format(zone=number % 60 + 1, degrees=number % 60 * 6 - 177)
            lon, lat = (country.place[k] + country.spread * shifts[number][k] for k in (0, 1))
            site = f"{name}_{number // 4}"
            files = (f"{site}_{number % 4}_rgb.tif", f"{part}/{name}/{site}/{site}_{number % 4}_rgb.jpg")
            size = (1200 + number % 700, 1100 + number % 600)
            facts = (*size, country.alpha3, number % 40, stamp, lat, lon, country.region)
            table.writerow((part, *files, wkt, 32601 + number % 60, name, True, *facts))
    everything = folder / EVERYTHING
    split = rng.choice(SPLITS, rows, p=[0.55, 0.1, 0.1, 0.15, 0.1]).tolist()
    lines = [f"{number},{split[number]}" for number in range(rows) if parts[number] != "seq"]
    everything.write_text("\n".join(["row,split", *lines]) + "\n", encoding="utf-8")
    for protocol in ("official", str(everything)):
        assigned = assign(read_table(target), protocol)
        for number in range(len(SPLITS)):
            for row in np.flatnonzero(assigned == number)[[0, -1]]:
                (target / "images" / f"rgb_img_{row}.png").touch()
    return target / "rgb_metadata.csv"


def measure(work, folder):
    """CPU seconds, MB above the baseline, number of rows and wall seconds, measured in a separate process."""
    command = [sys.executable, "-c", _MEASURE.format(work=work), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_ONE_THREAD)
    return tuple(map(float, done.stdout.split()))


def main():
    """Generate once, measure in turns, judge the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write the table (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = generate(Path(folder), args.rows)
        print(f"{args.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {args.rounds} processes each")
        ours, pandas = [], []
        for _ in range(args.rounds):
            ours.append(measure(_OURS, folder))
            pandas.append(measure(_PANDAS, folder))
        protocols = ("official", str(Path(folder) / EVERYTHING))
        checks = [measure(_CHECK.format(protocol=one), folder) for one in protocols]
    if ours[0][2] != pandas[0][2]:
        sys.exit(f"they disagree: {ours[0][2]:.0f} and {pandas[0][2]:.0f} training rows")
    for name, runs in (("geomoe", ours), ("pandas, six columns", pandas)):
        cpu, wall = (median(run[n] for run in runs) for n in (0, 3))
        print(f"  {name}: {cpu:.2f} s of CPU, {wall:.2f} s of wall clock, {max(r[1] for r in runs):.0f} MB")
    for (cpu, megabytes, count, wall), name in zip(checks, ("official", "every row"), strict=True):
        print(f"  check, {name}: {count:,.0f} samples, {cpu:.1f} s of CPU, {wall:.1f} s, {megabytes:.0f} MB")
    verdict("opening FMoW", median(run[0] for run in ours), SECONDS_BAR, unit=" s")
    verdict("peak above the baseline", max(run[1] for run in ours), MEMORY_BAR, unit=" MB")
    verdict("checking every row", checks[1][0], CHECK_BAR, unit=" s")


if __name__ == "__main__":
    main()
