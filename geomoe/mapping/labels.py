"""Positions of the experts' numbers on the map: inside the larger areas where an expert is dominant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rasterio.features import shapes
from rasterio.transform import from_origin
from shapely.geometry import shape
from shapely.ops import polylabel

if TYPE_CHECKING:
    from geomoe.mapping.table import RoutingTable

_MOST = 60  # maximum number of labels on a map
_SMALLEST = 0.0008  # share of the picture; about 15 by 15 degrees on a map of the world is 0.0035


class Label(NamedTuple):
    """An expert's number and its position."""

    lon: float
    lat: float
    expert: int


def place_labels(table: RoutingTable, block: int, mask: np.ndarray | None = None) -> list[Label]:
    """Numbers for the largest connected areas of one dominant expert, largest first.

    Args:
        table: the routing table.
        block: position of the block in the table, from 0.
        mask: (H, W) bool, cells that get numbers, e.g. land; None or an empty mask: all cells.
    """
    dominant = table.dominant(block)
    every = max(1, max(dominant.shape) // 360)  # coarse cells are enough to place a number
    dominant = np.ascontiguousarray(dominant[every // 2 :: every, every // 2 :: every])
    inside = None
    if mask is not None and mask.any():
        inside = np.ascontiguousarray(mask[every // 2 :: every, every // 2 :: every])
    west, _, _, north = table.grid.bounds
    step = table.grid.step * every
    found = []
    for geometry, expert in shapes(dominant, mask=inside, transform=from_origin(west, north, step, step)):
        area = shape(geometry)
        if area.area >= _SMALLEST * dominant.size * step * step:
            found.append((area.area, int(expert), area))
    found.sort(key=lambda item: (-item[0], item[1], item[2].bounds))
    centres = [(polylabel(area, tolerance=step / 2), expert) for _, expert, area in found[:_MOST]]
    return [Label(round(point.x, 3), round(point.y, 3), expert) for point, expert in centres]
