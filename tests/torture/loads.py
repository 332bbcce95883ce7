"""Large inputs: the work ends, and memory does not grow while it goes on."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path

from commands import write_scene
from shop import TABLE, clean

KINDS = ("scene", "rows", "files")
#: Bound on what the second half of the work may hold beyond the first: MB, and bytes for each unit of work.
SLACK = 150
SIDE, ROWS, FILES = 8000, 100_000, 20_000


def trial(shop, kind, draw, folder):
    """One load, at the scale of this run."""
    return {"scene": scene, "rows": rows, "files": files}[kind](shop, folder)


def watched(shop, words, folder, limit=3000):
    """Run to the end and note its memory; (ending, peak in MB of the first and the second half)."""
    pid, samples = shop.start(words, folder), []
    begun = time.monotonic()
    status = Path(f"/proc/{pid}/status")
    while time.monotonic() - begun < limit:
        lines = status.read_text().splitlines() if status.exists() else []
        found = [line for line in lines if line.startswith("VmRSS")]
        if not found:  # it has ended, and waits to be heard
            break
        samples.append(int(found[0].split()[1]) / 1000)
        time.sleep(0.02)
    ending = shop.wait(pid, folder, limit=5)
    clean(ending, (0,))
    assert len(samples) > 8, "too short to say anything"
    middle = len(samples) // 2
    first, second = max(samples[:middle]), max(samples[middle:])
    assert second < first + SLACK, f"memory grows: {first:.0f} MB in the first half, then {second:.0f} MB"
    return ending, f"{first:.0f} MB in the first half, {second:.0f} MB in the second"


def scene(shop, folder):
    """A scene of 8,000 x 8,000 pixels and 4 bands, tile by tile."""
    side = max(512, int(SIDE * shop.scale**0.5))
    write_scene(folder / "scene.tif", side)
    words = ["predict", "--checkpoint", shop.checkpoint, "scene.tif", "--output", "out.tif", "--quiet"]
    _, told = watched(shop, [*words, "--overlap", "0"], folder)
    import rasterio

    with rasterio.open(folder / "out.tif") as file:
        step = file.transform.a / 10
        assert abs(file.width * step - side) < step + 1, (file.width, step, side)
        assert (file.read(1) != file.nodata).all()
    return f"{side} x {side} x 4, {told}"


def rows(shop, folder):
    """A table of 100,000 points, each answered in its order."""
    number = max(2000, int(ROWS * shop.scale))
    with (folder / "p.csv").open("w", encoding="utf-8") as file:
        file.write("name,lon,lat\n")
        for row in range(number):
            file.write(f"p{row},{row * 7919 % 360_000 / 1000 - 180},{row * 104_729 % 170_000 / 1000 - 85}\n")
    words = ["encode", "p.csv", "--checkpoint", shop.checkpoint, "--output", "out.csv", "--quiet"]
    begun = time.monotonic()
    ending = shop.run(words, folder, limit=3000)
    clean(ending, (0,))
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        for row, line in enumerate(csv.DictReader(file)):
            assert line["name"] == f"p{row}"
    assert row == number - 1
    return f"{number} rows in {time.monotonic() - begun:.0f} s"


def files(shop, folder):
    """20,000 files in a table: a cache of them, then answers for all."""
    number = max(500, int(FILES * shop.scale))
    data = shop.data(folder)
    with (data / "clean.csv").open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    (data / "many").mkdir()
    with (data / "clean.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, known[0])
        writer.writeheader()
        for row in range(number):
            of = known[row % len(known)]
            name = f"many/{row:05d}.tif"
            shutil.copyfile(data / of["filename"], data / name)
            writer.writerow({**of, "filename": name})
    words = ["data", "cache", "folder", *TABLE, "--workers", "1", "--model.image_size", "16", "--quiet"]
    _, cached = watched(shop, words, folder)
    words = ["predict", "--checkpoint", shop.checkpoint, "data/clean.csv", "--output", "out.csv", "--quiet"]
    _, asked = watched(shop, words, folder)
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == number
    return f"{number} files; cache: {cached}; predict: {asked}"
