"""The routing table: what it refuses, and its statistics against loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geomoe.coords import make_grid
from geomoe.errors import ConfigError
from geomoe.mapping.table import RoutingTable, report_block, verdicts

GRID = make_grid(30.0)  # 12 x 6 cells
CELLS = 72


def of(weights, blocks=("block 1",)):
    return RoutingTable(GRID, np.asarray(weights, dtype=np.float32), blocks)


def everywhere(*weights):
    return of(np.tile(np.float32(weights), (1, CELLS, 1)))


@pytest.mark.parametrize(
    ("weights", "blocks", "message"),
    [
        (np.ones((1, 71, 1)), ("a",), r"expected weights of shape \(blocks=1, cells=72"),
        (np.ones((1, 72, 1)), ("a", "b"), r"blocks=2"),
        (np.ones((72, 1)), ("a",), "got \\(72, 1\\)"),
        (np.ones((1, 72, 0)), ("a",), "experts >= 1"),
        (np.full((1, 72, 2), 0.6), ("late",), "sum to 1 in each cell; not so in late, cells 0 to 71"),
        (np.tile([1.5, -0.5], (1, 72, 1)), ("a",), "must be >= 0"),
        (np.full((1, 72, 1), np.nan), ("a",), "must be >= 0 and sum to 1"),
        (np.full((1, 72, 256), 1 / 256), ("a",), "at most 255 experts"),
    ],
)
def test_tables_that_are_refused(weights, blocks, message):
    with pytest.raises(ConfigError, match=message):
        of(weights, blocks)


def test_dominant_entropy_and_images_cell_by_cell(table):
    height, width = table.grid.shape
    for block in range(table.num_blocks):
        dominant, entropy = table.dominant(block), table.entropy(block)
        for cell in range(0, height * width, 371):
            row, column = divmod(cell, width)
            weights = [float(w) for w in table.weights[block, cell]]
            assert dominant[row, column] == weights.index(max(weights))
            loop = -sum(w * math.log(w) for w in weights if w > 0) / math.log(6)
            assert entropy[row, column] == pytest.approx(loop, abs=1e-6)
            assert table.image(block, 3)[row, column] == np.float32(weights[3])


def test_entropy_of_one_expert_is_zero():
    assert (everywhere(1).entropy(0) == 0).all()


def test_report_weights_cells_by_their_true_area(table):
    height, width = table.grid.shape
    rng = np.random.default_rng(3)
    mask = rng.random((height, width)) < 0.3
    report = report_block(table, 1, mask)
    share, mean, total = np.zeros(6), np.zeros(6), 0.0
    for row in range(height):
        north = math.radians(table.grid.lat[row] + 1)
        area = math.sin(north) - math.sin(north - math.radians(2))
        for column in np.flatnonzero(mask[row]):
            weights = table.weights[1, row * width + column].astype(np.float64)
            share[weights.argmax()] += area
            mean += area * weights
            total += area
    np.testing.assert_allclose(report.share, share / total, rtol=1e-9)
    np.testing.assert_allclose(report.mean_weight, mean / total, rtol=1e-6)
    cells = table.weights[1][mask.ravel()]
    np.testing.assert_allclose(report.spread, cells.max(axis=0) - cells.min(axis=0))
    assert report.share.sum() == pytest.approx(1)
    assert report.mean_weight.sum() == pytest.approx(1, abs=1e-6)


def test_without_land_every_cell_counts(table):
    nothing = np.zeros(table.grid.shape, dtype=bool)
    np.testing.assert_array_equal(report_block(table, 0, nothing).share, report_block(table, 0).share)


def test_a_hemisphere_is_half_of_the_earth():
    north = np.repeat([1.0, 0.0], CELLS // 2)
    report = report_block(of(np.stack([north, 1 - north], axis=1)[None]), 0)
    np.testing.assert_allclose(report.share, [0.5, 0.5])


class TestVerdicts:
    def said(self, table, mask=None):
        return verdicts(report_block(table, 0, mask))

    def test_nothing_is_said_of_a_healthy_block(self, table):
        assert self.said(table) == []

    def test_constant_routing_and_its_silent_experts(self):
        said = self.said(everywhere(0.7, 0.3, 0.0))
        assert said[0].startswith("The routing is constant everywhere")
        assert "Expert 1 is never dominant (mean weight 30.0 %)." in said
        assert "Expert 2 is dead: its mean weight is 0.00 %." in said

    def test_one_expert_dominates_but_weights_move(self):
        weights = np.tile([0.6, 0.4], (1, CELLS, 1))
        weights[0, :5] = [0.9, 0.1]
        assert self.said(of(weights)) == [
            "Expert 0 is dominant everywhere.",
            "Expert 1 is never dominant (mean weight 39.2 %).",  # 5 of 12 cells beyond 60 north: 2.8 %
        ]

    def test_one_expert_is_constant_while_others_move(self):
        weights = np.tile([0.1, 0.3, 0.6], (1, CELLS, 1))
        weights[0, ::2] = [0.6, 0.3, 0.1]
        assert self.said(of(weights)) == [
            "Expert 1 is constant: its weight is 30.0 % everywhere.",
            "Expert 1 is never dominant (mean weight 30.0 %).",
        ]
        weights[0, 7] = [0.0, 1.0, 0.0]
        assert self.said(of(weights)) == []

    def test_an_expert_of_the_sea_is_dead_on_land(self):
        mask = np.zeros((6, 12), dtype=bool)
        mask[:, :6] = True
        sea = ~mask.ravel()
        west = np.arange(CELLS) % 2 == 0
        weights = np.stack([~sea & west, ~sea & ~west, sea], axis=1)[None]
        assert self.said(of(weights), mask) == ["Expert 2 is dead: its mean weight is 0.00 %."]
        assert self.said(of(weights)) == []

    def test_a_single_expert(self):
        assert self.said(everywhere(1)) == ["There is one expert, so every place gets it."]
