"""The figure of score against cost: what is named, that labels cover nothing, and what the pointer shows."""

from __future__ import annotations

import random
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.text import Text

from geomoe.bench.results.figure import BEST_NAMED, FAMILIES, cost_drawing, cost_figure, family_of, front
from geomoe.bench.results.gather import gather
from geomoe.bench.results.labels import Box, place
from geomoe.catalogue import ALGORITHMS
from tests.bench.results.test_results import COST, plan_of, write


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Results of every method, with random scores and costs; many cost the same."""
    plan, draw = plan_of(tmp_path_factory.mktemp("crowd"), algorithms="all", seeds=1), random.Random(5)
    for run in plan.runs:
        costs = {"step_flops": 1e10 * draw.choice((1, 1, 1 + draw.random())), "parameters": 5_000_000}
        write(plan, run, draw.uniform(0.4, 0.7), cost=replace(COST, **costs))
    return gather(plan)


def test_the_front_is_what_nothing_beats():
    draw = np.random.default_rng(0)
    for _ in range(50):
        points = draw.integers(0, 6, (12, 2)).astype(float)
        beaten = [
            any(
                (other[0] <= own[0] and other[1] >= own[1] and tuple(other) != tuple(own))
                or (tuple(other) == tuple(own) and second < first)
                for second, other in enumerate(points)
            )
            for first, own in enumerate(points)
        ]
        assert sorted(front(points)) == [number for number, lost in enumerate(beaten) if not lost]


def test_labels_cover_neither_marks_nor_each_other():
    draw, frame, radius = np.random.default_rng(1), Box(0, 0, 400, 300), 6.0
    for _ in range(20):
        points = draw.uniform((10, 10), (390, 290), (40, 2))
        boxes = [box for box in place(points, [(60.0, 12.0)] * 8, frame, radius) if box is not None]
        assert len(boxes) >= 6
        for number, box in enumerate(boxes):
            assert (box.right - box.left, box.top - box.bottom) == (pytest.approx(60), pytest.approx(12))
            assert min(box) >= 0
            assert box.right <= 400
            assert box.top <= 300
            for x, y in points:
                gap = max(box.left - x, x - box.right), max(box.bottom - y, y - box.top)
                assert max(gap) >= radius - 1e-9
            for other in boxes[:number]:
                wide = min(box.right, other.right) - max(box.left, other.left)
                high = min(box.top, other.top) - max(box.bottom, other.bottom)
                assert min(wide, high) <= 1e-9


def test_a_label_without_room_is_left_out():
    found = place(np.array([[10.0, 10.0], [12.0, 10.0]]), [(60.0, 12.0)] * 2, Box(0, 0, 20, 20), 5.0)
    assert found == [None, None]


@pytest.mark.slow
def test_only_the_front_and_the_best_are_named(crowd):
    figure = cost_figure(crowd).figure
    figure.draw_without_rendering()
    for axes, of in zip(figure.axes, ("step_flops", "parameters"), strict=False):
        points = np.array([(getattr(row.cost, of), row.scores["accuracy"].mean) for row in crowd.rows])
        best = sorted(crowd.rows, key=lambda row: -row.scores["accuracy"].mean)[:BEST_NAMED]
        wanted = {crowd.rows[number].label for number in front(points)} | {row.label for row in best}
        texts = [text for text in axes.texts if text.get_text()]
        assert {text.get_text() for text in texts} <= wanted
        assert len(texts) >= BEST_NAMED
        boxes = [Box(*Text.get_window_extent(text).extents) for text in texts]  # without lines
        shown = axes.transData.transform([line.get_xydata()[0] for line in axes.lines])
        for number, box in enumerate(boxes):
            assert not any(box.meets(other) for other in boxes[:number])
            assert not any(box.left < x < box.right and box.bottom < y < box.top for x, y in shown)


@pytest.mark.slow
def test_each_mark_says_what_it_is(crowd):
    root = ElementTree.fromstring(cost_drawing(cost_figure(crowd)).markup)
    told = [one.find("title").text for one in root.iter("g") if one.get("id", "").startswith("mark-")]
    assert len(told) == 3 * len(crowd.rows)
    for row in crowd.rows:
        share = f"{100 * row.scores['accuracy'].mean:.1f} %"
        assert f"{row.label} ({family_of(row)}): {share}, 5 million parameters" in told


def test_families_are_those_of_the_page():
    """The sections of docs/methods.md, in its order; the place of each method is its folder and network."""
    by_name = {name: family_of(_row(name)) for name in ALGORITHMS}
    assert set(by_name.values()) == set(FAMILIES) - {"dense twin"}
    wanted = {
        "erm": 0, "lfme": 0, "groupdro": 1, "fishr": 1, "dann": 2, "mmd": 2, "erm_le": 3, "dcp_le": 3,
        "per_region": 3, "moge": 6, "moge_messi": 6, "pg_dro": 6, "messi_ot": 4, "domain_only": 4, "gmoe": 5,
        "omoe": 5, "dynmoe": 5, "erm+swad": 0,
    }  # fmt: skip
    names = list(FAMILIES)
    assert {name: family_of(_row(name)) for name in wanted} == {name: names[k] for name, k in wanted.items()}
    assert family_of(_row("erm", twin="flops")) == "dense twin"


class _row:
    def __init__(self, algorithm, twin=None):
        self.algorithm, self.twin = algorithm, twin
