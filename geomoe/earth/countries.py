"""Coarse country outlines by ISO 3166-1 code, to check whether a place can be in a country.

The file ships with the package: Natural Earth (public domain) at 1:10m, simplified to about two kilometres,
with every island (docs/maps.md says how it was made). It takes no position on borders: a place for which two
codes are in use is in both outlines.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import shapely

from geomoe.earth.land import ASSETS

CELL = 0.01  # degrees: the file's unit


@cache
def country_outlines() -> dict[str, shapely.MultiPolygon]:
    """Outlines in degrees, longitudes from -180 to 180, by alpha-3 and by alpha-2 code; read once."""
    with (ASSETS / "countries.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        lonlat = np.cumsum(data["steps"], axis=0, dtype=np.int64) * CELL
        ends = tuple(np.concatenate([[0], np.cumsum(data[name])]) for name in ("rings", "polygons"))
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, lonlat, ends)
        owners = np.repeat(np.arange(len(data["counts"])), data["counts"])
        outlines = shapely.multipolygons(polygons[data["members"]], indices=owners)
        return {
            str(code): outlines[number] for code, number in zip(data["codes"], data["outline"], strict=True)
        }
