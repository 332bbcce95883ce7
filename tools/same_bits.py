"""Check whether two versions of geomoe compute the same bits: train, judge and map with both, and compare.

    python -m tools.same_bits a05e8d1            # that commit against the working tree
    python -m tools.same_bits a05e8d1 --methods erm moge --epochs 2

Both versions are run through their command line on the embedded data set, on one thread, with the same seed.
The loss and every other column of ``metrics.csv``, the final weights, the answers to the test split, the
report, and the map of the experts are compared. The command prints one line for each comparison, and exits
with status 1 if one of them differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACES = ("--encoder.legendre_polys", "6", "--data.held_out", "Asia")
_ANSWERS = """
import sys, hashlib, geomoe
from geomoe.inference import predict_dataset, open_split
predictor = geomoe.load(sys.argv[1])
found = predict_dataset(predictor, open_split(predictor, "test"))
print(hashlib.sha256(found.logits.tobytes() + found.weights.tobytes()).hexdigest())
"""


def main() -> int:
    """Compare a commit with the working tree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--methods", nargs="+", default=["erm", "erm_le", "moge"])
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        earlier = Path(scratch) / "earlier"
        subprocess.run(
            ["git", "-C", ROOT, "worktree", "add", "--detach", "-q", earlier, args.commit], check=True
        )
        try:
            found = [
                outcomes(tree, Path(scratch) / f"out{number}", args.methods, args.epochs)
                for number, tree in enumerate((earlier, ROOT))
            ]
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", earlier], check=True)
    same = True
    for name in dict.fromkeys([*found[0], *found[1]]):
        before, after = (one.get(name) for one in found)
        same &= before == after
        verdict = (
            f"same       {name}  {before}" if before == after else f"DIFFERENT  {name}  {before} {after}"
        )
        print(verdict)
    return 0 if same else 1


def outcomes(tree: Path, place: Path, methods: list[str], epochs: int) -> dict[str, Any]:
    """Everything that one version computes: name -> number or hash."""
    place.mkdir()
    found: dict[str, Any] = {}
    for method in methods:
        words = ("train", "bluemarble", "--algorithm", method, "--trainer.max_epochs", str(epochs), *PLACES)
        _geomoe(tree, place, *words, "--trainer.devices", "1", "--trainer.threads", "1", "--output", "runs")
        run = place / "runs/bluemarble" / method / "held-out-asia-seed0"
        with (run / "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                found |= {f"{method} epoch {row['epoch']} {name}": value for name, value in row.items()}
        last = run / "checkpoints/last.ckpt"
        found[f"{method} weights"] = _weights(last)
        found[f"{method} answers"] = _run(tree, place, "-c", _ANSWERS, str(last)).strip()
        report = _geomoe(tree, place, "evaluate", "--checkpoint", str(last), "--json")
        found[f"{method} report"] = _digest(_scores(json.loads(report)))
        if method == "moge":
            _geomoe(tree, place, "map-experts", "--checkpoint", str(last), "--output", "map", "--step", "5")
            found |= {f"map {path.suffix}": _digest(_raster(path)) for path in (place / "map").glob("*.tif")}
    return found


def _geomoe(tree: Path, place: Path, *words: str) -> str:
    return _run(tree, place, "-m", "geomoe", *words, "--quiet")


def _run(tree: Path, place: Path, *words: str) -> str:
    settings = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": "1",
        "GEOMOE_CACHE": str(place / "c"),
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=place, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(words)}\n{done.stderr}")
    return done.stdout


def _weights(path: Path) -> str:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return _digest(b"".join(name.encode() + state[name].numpy().tobytes() for name in sorted(state)))


def _scores(report: dict[str, Any]) -> bytes:
    """The scores of a report, without the version of its format and the path of the checkpoint."""
    kept = {name: report[name] for name in ("scores", "places", "experts_report", "beside", "classes")}
    return json.dumps(kept, sort_keys=True).encode()


def _raster(path: Path) -> bytes:
    import rasterio

    with rasterio.open(path) as file:
        return file.read().tobytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
