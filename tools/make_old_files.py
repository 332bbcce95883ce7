"""Make ``tests/data/before_house.tar.xz``: files written by geomoe 0.1.0, which later versions must read.

It was run once, at commit a05e8d1, the last one of the old layout, and is kept to document the archive::

    python -m tools.make_old_files tests/data/before_house.tar.xz

Every file comes from the command line of that commit. Afterwards the weights are rounded to steps of 1/32 and
the optimiser's moments to whole numbers, so that the archive stays small; ``answers.json`` holds what that
commit answers with the rounded weights.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

SMALL = (
    *("--model.moge_blocks", "3", "--model.num_experts", "2", "--model.top_k", "1"),
    *("--encoder.legendre_polys", "4", "--encoder.out_dim", "16", "--encoder.hidden_dim", "16"),
    *("--data.batch_size", "512", "--trainer.devices", "1", "--trainer.accelerator", "cpu", "--quiet"),
)


def main() -> None:
    """Write the archive that is named on the command line."""
    target = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        os.chdir(place)
        os.environ["GEOMOE_CACHE"] = str(place / "cache")
        files = place / "before_house"
        files.mkdir()
        answers = {name: _trained(name, files) for name in ("erm", "erm_le", "moge")}
        (files / "answers.json").write_text(json.dumps(answers, indent=1))
        _stopped(files)
        _judged(files)
        _cached(place, files)
        shutil.copytree(Path(__file__).parents[1] / "configs", files / "configs")
        for path in files.rglob("*.json"):
            path.write_text(path.read_text().replace(str(place), ""))
        with tarfile.open(target, "w:xz", preset=9) as archive:
            archive.add(files, "before_house", filter=_nobody)


def _geomoe(*words: str) -> str:
    command = [sys.executable, "-m", "geomoe", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _trained(algorithm: str, files: Path) -> dict[str, Any]:
    """A rounded checkpoint of one epoch, and its answers for four images."""
    import geomoe

    words = ("train", "bluemarble", "--algorithm", algorithm, "--trainer.max_epochs", "1", "--output", "runs")
    _geomoe(*words, "--trainer.loggers", "csv", *SMALL)
    run = Path("runs/bluemarble") / algorithm / "all-seed0"
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    kept = {"state_dict": _rounded(content["state_dict"], 32), "geomoe": content["geomoe"]}
    torch.save(kept, files / f"{algorithm}.ckpt")
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.float32)
    lonlat = np.array([[10.0, 50.0], [-60.0, -10.0], [140.0, 35.0], [np.nan, np.nan]])
    found = geomoe.load(files / f"{algorithm}.ckpt").predict(
        torch.from_numpy(images), torch.from_numpy(lonlat)
    )
    return {"probabilities": found.probabilities.tolist()}


def _stopped(files: Path) -> None:
    """The folder of a run of two epochs that was stopped in its second."""
    words = ("train", "bluemarble", "--algorithm", "moge", "--trainer.max_epochs", "2", "--output", "stopped")
    command = [sys.executable, "-m", "geomoe", *words, "--trainer.loggers", "csv", *SMALL]
    run = Path("stopped/bluemarble/moge/all-seed0")
    process = subprocess.Popen(command)
    while not (run / "metrics.csv").exists():
        time.sleep(0.05)
    process.terminate()
    process.wait()
    for name in ("last", "best"):
        path = run / f"checkpoints/{name}.ckpt"
        content = torch.load(path, weights_only=True)
        content["state_dict"] = _rounded(content["state_dict"], 32)
        content["optimizer_states"] = _rounded(content["optimizer_states"], 1)
        torch.save(content, path)
    shutil.copytree(run, files / "stopped/bluemarble/moge/all-seed0")


def _rounded(value: Any, steps: int) -> Any:  # noqa: ANN401 - whatever a checkpoint holds
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim:
        return (value * steps).round() / steps
    if isinstance(value, dict):
        return {key: _rounded(item, steps) for key, item in value.items()}
    return [_rounded(item, steps) for item in value] if isinstance(value, list) else value


def _judged(files: Path) -> None:
    """The report of a checkpoint, and the map of its experts."""
    _geomoe(
        "evaluate", "--checkpoint", str(files / "moge.ckpt"), "--output", str(files / "report"), "--quiet"
    )
    for drawn in (files / "report").iterdir():
        if drawn.name != "report.json":
            drawn.unlink()
    words = (
        "map-experts",
        "--checkpoint",
        str(files / "moge.ckpt"),
        "--output",
        "map",
        "--step",
        "10",
        "--json",
    )
    (files / "map.json").write_text(_geomoe(*words, "--quiet"))


def _cached(place: Path, files: Path) -> None:
    """The image cache of a small folder, and the folder."""
    _geomoe("data", "sample", "folder", str(files / "folder"), "--quiet")
    for path in (files / "folder").rglob("*"):
        os.utime(
            path, (1.7e9, 1.7e9)
        )  # whole seconds: an archive stores no fractions, and the cache compares times
    _geomoe(
        "data",
        "cache",
        "folder",
        "--data-root",
        str(files / "folder"),
        "--metadata",
        "points.csv",
        "--model.image_size",
        "16",
        "--quiet",
    )
    shutil.copytree(place / "cache", files / "cache", ignore=shutil.ignore_patterns("bluemarble*"))


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
