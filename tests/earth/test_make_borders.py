"""The tool that makes coasts and borders, on a topology that is drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from tools.make_borders import CELL, borders, land, simplified, to_arrays

# Two countries of 2 by 2 degrees side by side, whose border has a kink, and an island; in steps of 0.001.
TOPOLOGY = {
    "transform": {"scale": [0.001, 0.001], "translate": [10.0, 50.0]},
    "arcs": [
        [[2000, 0], [3, 1000], [-3, 1000]],  # the border, northwards
        [[2000, 2000], [-2000, 0], [0, -2000], [2000, 0]],  # around the west
        [[2000, 0], [2000, 0], [0, 2000], [-2000, 0]],  # around the east
        [[8000, 0], [500, 0], [0, 500], [-500, 0], [0, -500]],
    ],
    "objects": {
        "countries": {
            "geometries": [
                {"type": "Polygon", "id": "001", "properties": {"name": "West"}, "arcs": [[0, 1]]},
                {
                    "type": "MultiPolygon",
                    "id": "002",
                    "properties": {"name": "East"},
                    "arcs": [[[2, -1]], [[3]]],
                },
            ]
        }
    },
}


def test_a_border_is_one_line_without_gaps():
    topology = simplified(TOPOLOGY)
    (line,) = borders(topology)
    np.testing.assert_allclose(line, [(12, 50), (12, 52)])  # the kink is finer than a line may move
    found = land(topology)
    assert [polygon.bounds for polygon in found] == [(10, 50, 14, 52), (18, 50, 18.5, 50.5)]
    assert sum(polygon.area for polygon in found) == pytest.approx(8.25)
    assert all(not polygon.interiors for polygon in found)


def test_arrays_give_the_shapes_back():
    topology = simplified(TOPOLOGY)
    arrays = to_arrays(land(topology), borders(topology))
    lonlat = np.cumsum(arrays["land"], axis=0) * CELL
    ends = [np.concatenate([[0], np.cumsum(arrays[name])]) for name in ("rings", "polygons")]
    back = shapely.from_ragged_array(shapely.GeometryType.POLYGON, lonlat, tuple(ends))
    assert all(ours.equals(theirs) for ours, theirs in zip(back, land(topology), strict=True))
    assert arrays["lines"].tolist() == [2]
