"""Synthetic predictions with known properties, shared by the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.inference import Predictions

REGIONS = ["Asia", "Europe", "Africa"]


def make_predictions(seed: int, samples: int = 300, classes: int = 4, blocks: int = 2, experts: int = 3):
    """Random predictions: labels, domains, blocks and places come from a fixed seed, scores from ``seed``."""
    fixed, free = np.random.default_rng(99), np.random.default_rng(seed)
    block = fixed.integers(0, 25, samples)
    weights = fixed.random((blocks, samples, experts))
    weights[np.arange(experts) == weights.argmin(axis=2, keepdims=True)] = 0
    return Predictions(
        index=np.arange(samples),
        lonlat=np.stack([fixed.uniform(-180, 180, samples), fixed.uniform(-80, 80, samples)], axis=1),
        domain=(block % 4) - 1,  # -1: unknown region
        block=block,
        label=fixed.integers(0, classes, samples),
        logits=free.normal(size=(samples, classes)).astype(np.float32),
        weights=(weights / weights.sum(axis=2, keepdims=True)).astype(np.float32),
    )


@pytest.fixture
def predictions():
    """Each choice of experts on the same 300 samples: 4 classes, 2 blocks of 3 experts, 3 regions."""
    choices = ["all", "shared", (0, "all"), (1, "all"), (2, "all"), ("all", 0), ("all", 1), ("all", 2)]
    return {choice: make_predictions(seed) for seed, choice in enumerate(choices)}
