"""Uses what the recipes of docs/architecture.md added; run by test_recipes.py with the changed copy first."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import sys
import traceback
from pathlib import Path

import numpy as np

FLAGS = (
    *("--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.loggers", "csv", "--quiet"),
    *("--model.image_size", "16", "--encoder.legendre_polys", "3", "--output", "runs"),
)


def call(*words):
    """One command; what it prints as JSON."""
    from geomoe.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main([*words, "--json"])
    assert status == 0, words
    return json.loads(out.getvalue())


def train(*words):
    return call("train", "squares", "--data-root", ".", "--dry-run", *FLAGS, *words)["best"]


def make_data():
    rng = np.random.default_rng(0)
    label = np.arange(96) % 2
    np.savez(
        "squares.npz",
        images=(rng.integers(0, 100, (96, 3, 16, 16)) + 100 * label[:, None, None, None]).astype(np.uint8),
        label=label,
        lonlat=np.column_stack([rng.uniform(-180, 180, 96), rng.uniform(-80, 80, 96)]),
        split=np.repeat(["train", "val", "test"], 32),
    )


def encoder():
    Path("points.csv").write_text("lon,lat\n10,30\n-70,-90\n", encoding="utf-8")
    call("encode", "points.csv", "--encoder", "latitude", "--output", "embedded.csv")
    with open("embedded.csv", newline="") as file:
        found = [float(row["embedding_0"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(found, [math.sqrt(3) / 2, -math.sqrt(3)], rtol=1e-6)
    train("--algorithm", "erm_le", "--encoder.name", "latitude")


def method():
    import torch

    from geomoe.algorithms import Facts, Now, method_class
    from geomoe.models import PlainNetwork, create_backbone
    from geomoe.types import Batch, Place

    best = train("--algorithm", "even_risk", "--even_risk.weight", "2.5")
    assert torch.load(best, weights_only=True)["geomoe"]["config"]["even_risk"] == {"weight": 2.5}
    kind = method_class("even_risk")
    made = kind(
        kind.Options(weight=2.5),
        lambda: PlainNetwork(create_backbone("vit_quick", num_classes=3, image_size=16)),
        Facts(3, (0, 1, 4)),
    ).eval()
    place = Place.unknown(6)._replace(domain=torch.tensor([0, 4, 4, -1, 0, 7]))
    batch = Batch(torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2]), place, torch.arange(6))
    each = -made(batch).logits.double().log_softmax(dim=1)[range(6), batch.label]
    risks = [each[[0, 4]].mean(), each[[1, 2]].mean()]
    want = each.mean() + 2.5 * ((risks[0] - risks[1]) / 2) ** 2
    torch.testing.assert_close(made.losses(batch, Now(0, 1, 0)).total.double(), want, rtol=1e-5, atol=0)


def network():
    import geomoe

    predictor = geomoe.load(train("--algorithm", "erm_prior"), device="cpu")
    assert type(predictor.model).__name__ == "PriorNetwork"
    images = np.zeros((2, 3, 16, 16), np.uint8)
    here, there = predictor.predict(images, np.array([[0.0, 0.0], [120.0, 50.0]])).probabilities
    assert not np.array_equal(here, there)


def data_set():
    assert call("data", "info", "squares", "--data-root", ".")
    from geomoe.datasets import DATASETS

    module = DATASETS["squares"](".", held_out="south")
    with np.load("squares.npz") as table:
        south, split = table["lonlat"][:, 1] < 0, table["split"]
    sizes = {name: len(module.dataset(name)) for name in module.split_names()}
    want = {name: ((split == name) & ~south).sum() for name in ("train", "val")}
    assert sizes == want | {"test": 32, "held_out": ((split == "test") & south).sum()}
    train("--held-out", "south", "--algorithm", "erm")


def metric():
    from geomoe.metrics import top_accuracy

    likely = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    found = [top_accuracy(likely, np.array([1, 3]), k) for k in (1, 2, 3, 4)]
    assert found == [0.0, 0.0, 0.5, 1.0]
    assert reported()["scores"]["all"]["overall"]["top3"] == 1.0  # of two classes


def verb():
    assert call("classes", "--checkpoint", train("--algorithm", "erm", "--run_name", "verb")) == {
        "classes": ["dark", "bright"]
    }


def layer_or_figure():
    reported()
    assert Path("report/samples.png").stat().st_size > 1000
    assert "Samples at each place" in Path("report/map.html").read_text(encoding="utf-8")


def reported():
    """The report of a run, with its files in ``report``."""
    file = Path("report/report.json")
    if not file.exists():
        best = train("--algorithm", "erm", "--run_name", "reported")
        call("evaluate", "--checkpoint", best, "--data-root", ".", "--output", "report", "--device", "cpu")
    return json.loads(file.read_text(encoding="utf-8"))


USES = {
    "An encoder": encoder,
    "A method": method,
    "A network": network,
    "A data set": data_set,
    "A metric": metric,
    "A verb": verb,
    "A layer of a map, or a figure of a report": layer_or_figure,
}

if __name__ == "__main__":
    make_data()
    problems = {}
    for heading, use in USES.items():
        try:
            use()
        except BaseException:
            problems[heading] = traceback.format_exc()
    sys.stdout.write(json.dumps(problems))
