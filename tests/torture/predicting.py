"""Predictions on damaged files: one refusal, or finite numbers."""

from __future__ import annotations

import csv
import math

from shop import clean, tree


def answers(path):
    """filename -> row of a table of predictions; every number in it is finite."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert math.isfinite(float(row["probability"])), row
    return {row["filename"]: row for row in rows}


def predict(shop, folder, *given):
    words = ["predict", "--checkpoint", shop.checkpoint, *given, "--output", "made/out.csv", "--quiet"]
    ending = shop.run(words, folder)
    clean(ending)
    if ending.status == 2:
        assert not (folder / "made").exists(), tree(folder / "made")
    return ending


def sound(shop):
    def make(folder):
        shop.data(folder)
        return shop.must(words(shop, "data/images"), folder)

    return shop.reference("images", make)[0]


def words(shop, *given):
    return ["predict", "--checkpoint", shop.checkpoint, *given, "--output", "made/out.csv", "--quiet"]
