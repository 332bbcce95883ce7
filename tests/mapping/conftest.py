"""Routing tables with known answers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from geomoe.coords import make_grid, unit_vectors
from geomoe.earth.land import earth_on
from geomoe.mapping.table import BlockSummary, Points, RoutingTable, report_block, verdicts

WORLD = (-180.0, -90.0, 180.0, 90.0)


def smooth_table(step=2.0, bounds=WORLD, experts=6, blocks=2, top_k=3, seed=0, **options):
    """Smooth random fields on the sphere, gated like a router: top-k, then softmax."""
    grid = make_grid(step, bounds)
    places = unit_vectors(grid.lonlat())
    rng = np.random.default_rng(seed)
    weights = []
    for _ in range(blocks):
        waves = rng.normal(size=(3, 60)) * 5
        logits = np.cos(places @ waves + rng.uniform(0, 6, 60)) @ rng.normal(size=(60, experts)) / 2
        lowest = np.partition(logits, -min(top_k, experts), axis=1)[:, [-min(top_k, experts)]]
        power = np.where(logits >= lowest, np.exp(logits), 0)
        weights.append((power / power.sum(axis=1, keepdims=True)).astype(np.float32))
    names = tuple(f"block {number}" for number in (8, 10, 11, 5)[:blocks])
    return RoutingTable(grid, np.stack(weights), names, **options)


def band_table(step=0.5, bounds=WORLD, low=44.0, high=46.0):
    """Expert 1 alone between two latitudes, expert 0 everywhere else."""
    grid = make_grid(step, bounds)
    inside = (grid.lonlat()[:, 1] > low) & (grid.lonlat()[:, 1] < high)
    weights = np.stack([~inside, inside], axis=1).astype(np.float32)[None]
    return RoutingTable(grid, weights, ("block 0",))


def summaries_of(table):
    land = earth_on(table.grid).land
    reports = [report_block(table, block, land) for block in range(table.num_blocks)]
    shared = (("land cover", 0.61, 0.24), ("region", 0.5, 0.28))
    return tuple(BlockSummary(report, tuple(verdicts(report)), shared) for report in reports)


def some_points(count=300, seed=0, regions=("Asia", "Europe"), classes=("Forest", "Desert", "Ice")):
    rng = np.random.default_rng(seed)
    lonlat = np.stack([rng.uniform(-180, 180, count), rng.uniform(-60, 75, count)], axis=1)
    label = rng.integers(0, len(classes), count)
    predicted = np.where(rng.random(count) < 0.7, label, rng.integers(0, len(classes), count))
    region = rng.integers(-1, len(regions), count)
    return Points(lonlat, region, label, predicted, rng.random(count) < 0.4, regions, classes)


def page_data(page):
    """The data that a page was drawn from, as the browser reads it."""
    found = re.search(r"geomoeStart\(map_experts, (\{.*\})\);", page)
    return json.loads(found.group(1))


class Synthetic:
    """The functions above, for tests of this room and of the browser."""

    smooth_table = staticmethod(smooth_table)
    band_table = staticmethod(band_table)
    summaries_of = staticmethod(summaries_of)
    some_points = staticmethod(some_points)
    page_data = staticmethod(page_data)


@pytest.fixture(scope="session")
def synthetic():
    return Synthetic


@pytest.fixture(scope="session")
def table():
    facts = (("Checkpoint", "best.ckpt"), ("Held out", "Asia"))
    return smooth_table(title="Expert map: a test", facts=facts)


@pytest.fixture(scope="session")
def summaries(table):
    return summaries_of(table)
