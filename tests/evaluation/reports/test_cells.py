"""Cells of a score map follow the extent of the samples and their number."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.errors import InputError
from geomoe.evaluation.places import STEPS
from geomoe.evaluation.reports.cells import CELLS, check_cell, divides, fit_cell


def grid_of(west, south, east, north, step):
    lon, lat = np.meshgrid(np.arange(west, east, step), np.arange(south, north, step))
    return np.stack([(lon.ravel() + 180) % 360 - 180, lat.ravel()], axis=1)


EARTH = grid_of(-179, -55, 180, 75, 5)
GERMANY = grid_of(6.05, 47.55, 14.5, 54.5, 0.25)  # spans 8.25 by 6.75 degrees
MANY, FEW = 100, 1


@pytest.mark.parametrize(
    ("lonlat", "each", "expected"),
    [
        (EARTH, MANY, 6.0),
        (EARTH, FEW, 6.0),
        (GERMANY, MANY, 1.0),
        (GERMANY, FEW, 1.0),  # 16 samples in a cell
        (GERMANY[::9], FEW, 2.0),  # fewer than 2
        (GERMANY / 10, MANY, 0.1),
        (grid_of(176, -20, 186, -16, 0.2), MANY, 1.0),  # across the antimeridian
        (grid_of(-10, 35, 30, 70, 1), MANY, 3.0),
        (grid_of(-10, 35, 40, 70, 1), MANY, 6.0),
        (GERMANY[:1], MANY, 0.01),
    ],
)
def test_the_side_follows_extent_and_number(lonlat, each, expected):
    assert fit_cell(lonlat, np.full(len(lonlat), each)) == expected


def test_the_rule_by_brute_force():
    """The largest side with 8 cells; then larger ones until cells hold ten, or fewer than 4 are left."""
    generator = np.random.default_rng(0)
    for _ in range(60):
        size, count = generator.uniform(0.1, 60), int(generator.integers(2, 400))
        lonlat = generator.uniform((10, 10), (10 + size, 10 + size), (count, 2))
        longer = np.ptp(lonlat, axis=0).max()
        side = max([one for one in CELLS if longer / one >= 8], default=0.01)
        while True:
            cells = {(int((lon + 180) // side), int((lat + 90) // side)) for lon, lat in lonlat.tolist()}
            larger = [one for one in CELLS if one > side and longer / one >= 4]
            if count / len(cells) >= 10 or not larger:
                break
            side = min(larger)
        assert fit_cell(lonlat, np.ones(count, dtype=int)) == side


def test_cells_are_whole_numbers_of_those_that_share_a_place():
    for step in STEPS:
        side = fit_cell(GERMANY / 4, np.full(len(GERMANY), MANY), step)
        assert divides(step, side)
        assert not step or side / step == pytest.approx(round(side / step))


@pytest.mark.parametrize(
    ("cell", "step", "message"),
    [
        (0.0, 0.0, "cell: expected degrees that divide 180, such as 0.5, 1 or 6; got 0"),
        (7.0, 0.0, "got 7"),
        (-1.0, 0.0, "got -1"),
        (float("nan"), 0.0, "got nan"),
        (180.0, 0.0, "got 180"),
        (1e-300, 0.0, "cell: places are kept to 0.0001 degrees .10 m.; give so much or more; got 1e-300"),
        (5e-5, 0.0, "got 5e-05"),
        (0.0007, 0.0, "cell: expected degrees that divide 180, .*; got 0.0007"),
        (0.00013, 0.0, "got 0.00013"),
        (1e-4, 0.0, None),
        (0.003, 0.0, None),
        (1.0, 0.25, None),
        (0.1, 0.25, "joined in cells of 0.25 degrees; give a multiple; got 0.1"),
        (0.75, 0.5, "got 0.75"),
    ],
)
def test_refusals(cell, step, message):
    if message is None:
        check_cell(cell, step)
        return
    with pytest.raises(InputError, match=message):
        check_cell(cell, step)


def test_places_that_share_cells_of_an_unusual_side():
    lonlat = np.array([[0.0, 0.0], [70.0, 35.0]])
    assert fit_cell(lonlat, np.array([5, 5]), 0.7) == 0.7
