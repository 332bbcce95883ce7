"""The commands that are killed and that meet each other: how to begin, how to go on, what they leave."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from shop import TABLE, same, serve, train

from geomoe.cli import VERBS


class Command(NamedTuple):
    """A command and what it leaves.

    Attributes:
        words: what begins it.
        again: what goes on after a kill.
        output: what it leaves, a folder below the trial's.
        begun: a pattern of files below ``output``; while there is none, nothing was begun that could go on.
    """

    words: list
    again: list
    output: str
    begun: str = ""

    def after_a_kill(self, folder):
        """The words that go on, or begin if the command was killed before it had begun."""
        return self.again if not self.begun or any((folder / self.output).glob(self.begun)) else self.words


def write_scene(path, size, bands=4, seed=0):
    """A GeoTIFF of noise, written strip by strip."""
    import rasterio
    from rasterio.transform import from_origin

    generator = np.random.default_rng(seed)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": bands, "height": size, "width": size}
    place = {"crs": "EPSG:32631", "transform": from_origin(4e5, 5.4e6, 10, 10)}
    with rasterio.open(path, "w", **profile, **place, tiled=True) as file:
        for top in range(0, size, 256):
            rows = min(256, size - top)
            values = generator.integers(0, 3000, (bands, rows, size), dtype=np.uint16)
            file.write(values, window=rasterio.windows.Window(0, top, size, rows))


def _predict(output):
    def make(shop, folder):
        scene = output.endswith(".tif")
        if scene:
            write_scene(folder / "scene.tif", 200)
        given = ["scene.tif"] if scene else ["data/clean.csv", "data/images"]
        words = ["predict", "--checkpoint", shop.checkpoint, *given, "--output", f"made/{output}"]
        words += ["--batch-size", "4", "--quiet"]
        return Command(words, [*words, "--resume"], "made")

    return make


def _evaluate(shop, folder):
    words = ["evaluate", "--checkpoint", shop.checkpoint, "--output", "made", "--quiet"]
    return Command(words, words, "made")


def _map(shop, folder):
    words = ["map-experts", "--checkpoint", shop.checkpoint, "--step", "10", "--output", "made", "--quiet"]
    return Command(words, words, "made")


def _diagnose(shop, folder):
    words = [
        "diagnose",
        "--checkpoint",
        shop.checkpoint,
        "--permutations",
        "3",
        "--output",
        "made",
        "--quiet",
    ]
    return Command(words, words, "made")


def _cache(workers):
    def make(shop, folder):
        words = [
            "data",
            "cache",
            "folder",
            *TABLE,
            "--workers",
            workers,
            "--model.image_size",
            "16",
            "--quiet",
        ]
        return Command(words, words, "caches")

    return make


def _train(method):
    def make(shop, folder):
        return Command(train(method=method), train("--resume", method=method), "runs", "**/config.yaml")

    return make


def _download(shop, folder):
    if "archive" not in shop.known:
        source = shop.root / "published"
        source.mkdir()
        shop.must(["data", "sample", "pacs", source / "pacs", "--quiet"], shop.root)
        archive = Path(shutil.make_archive(str(shop.root / "pacs"), "zip", source / "pacs"))
        shop.known["archive"] = (hashlib.sha256(archive.read_bytes()).hexdigest(), serve(shop))
    digest, url = shop.known["archive"]
    words = ["data", "download", "pacs", "--data-root", "made", "--url", f"{url}/pacs.zip"]
    words += ["--sha256", digest, "--yes", "--quiet"]
    return Command(words, words, "made")


def _bench(shop, folder):
    words = ["bench", "--data", "bluemarble", "--algorithms", "erm", "--seeds", "1", "--budget", "4"]
    words += ["--output", "made", "--quiet"]
    return Command(words, words, "made")


COMMANDS = {
    "train moge": _train("moge"),
    "train dann": _train("dann"),
    "cache": _cache("1"),
    "cache by 2": _cache("2"),
    "predict csv": _predict("out.csv"),
    "predict parquet": _predict("out.parquet"),
    "predict scene": _predict("out.tif"),
    "map": _map,
    "evaluate": _evaluate,
    "diagnose": _diagnose,
    "download": _download,
}
if "bench" in VERBS:
    COMMANDS["bench"] = _bench

#: What only the network may be asked for.
ONLINE = {"GEOMOE_OFFLINE": "0", "HF_HUB_OFFLINE": "0"}


def prepare(shop, kind, folder):
    """Data of a trial where the command needs it, and the command."""
    if kind not in {"download", "bench"}:
        shop.data(folder)
    return COMMANDS[kind](shop, folder)


def environment(kind):
    """What a command needs besides."""
    return ONLINE if kind == "download" else None


def undisturbed(shop, kind):
    """(Folder that an undisturbed command worked in, how long it took); two of them are the same."""

    def make(folder):
        endings = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            command = prepare(shop, kind, folder / name)
            endings.append(shop.must(command.words, folder / name, environment=environment(kind)))
        same(folder / "first" / command.output, folder / "second" / command.output, f"{kind} twice")
        return endings[1].seconds

    folder, seconds = shop.reference(kind, make)
    return folder / "first", seconds
