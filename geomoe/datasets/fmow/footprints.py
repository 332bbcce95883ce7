"""Repair the centres of footprints that cross the antimeridian, where a plain mean of longitudes is wrong.

The centre of a footprint is often computed as the mean of its corners' longitudes (FMoW's table does so). A
footprint around 180 degrees has corners near +180 and near -180, and the mean is off by a multiple of
360 / corners: a place in Fiji ends up at 36 degrees east. Given the number of corners, the centre can be
restored exactly; the only question is whether a row is such a case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.coords import wrap_lon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FINE, MENDED, DOUBTFUL = 0, 1, 2
SIZE = 0.5  # degrees of longitude that a footprint may extend past the antimeridian: 50 km at the equator

# ISO 3166-1 alpha-3 -> boxes (west, south, east, north) that hold all land of a country which reaches the
# antimeridian, with a margin. Longitudes past 180 are written as more than 180.
_LAND: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "FJI": ((176, -22, 183, -12),),
    "KIR": ((169, -13, 211, 6),),
    "NZL": ((165, -54, 185, -28),),
    "RUS": ((19, 41, 180, 83), (180, 60, 192, 83)),
    "TUV": ((175, -12, 181, -4),),
    "USA": ((235, 24, 294, 50), (170, 50, 231, 73), (180, 17, 206, 30)),
    "WLF": ((180, -16, 185, -12),),
}
# Latitudes between which the land of a country lies on the antimeridian itself, or almost.
_CROSSING = {
    "FJI": (-22.0, -12.0),
    "KIR": (-13.0, 6.0),
    "NZL": (-54.0, -28.0),
    "RUS": (64.0, 72.0),
    "TUV": (-12.0, -4.0),
    "USA": (50.0, 54.0),
    "WLF": (-16.0, -12.0),
}


def mend(
    lonlat: NDArray[np.float64], country: NDArray[np.integer], codes: Sequence[str], corners: int = 5
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Repair longitudes that are means of corners on both sides of the antimeridian.

    A row is suspect if its country reaches the antimeridian, its latitude is one where the country does so,
    and its longitude is, up to SIZE, a mean of corners on both sides. It is repaired if the country has no
    land at that longitude. Otherwise it is marked as doubtful and not changed (36 degrees is also in Russia's
    Kola peninsula).

    Args:
        lonlat: (N, 2) degrees, longitude first; NaN, NaN where unknown. Not changed.
        country: (N,) positions in ``codes``.
        codes: ISO 3166-1 alpha-3 codes.
        corners: number of averaged vertices; a rectangle written as a closed ring has 5.

    Returns:
        (N, 2) places, and (N,) FINE, MENDED or DOUBTFUL.
    """
    places, state = lonlat.copy(), np.zeros(len(lonlat), dtype=np.int8)
    means = 180 * (2 * np.arange(1, corners) - corners) / corners  # with 1 to corners - 1 corners in the east
    for number, code in enumerate(codes):
        if code not in _LAND:
            continue
        south, north = _CROSSING[code]
        rows = np.flatnonzero((country == number) & (lonlat[:, 1] >= south) & (lonlat[:, 1] <= north))
        lon, lat = lonlat[rows].T
        offset = lon[:, None] - means
        nearest = np.abs(offset).argmin(axis=1)
        rest = offset[np.arange(len(rows)), nearest]
        suspected = np.abs(rest) <= SIZE
        state[rows] = np.where(suspected, np.where(_on_land(code, lon, lat), DOUBTFUL, MENDED), FINE)
        places[rows, 0] = np.where(state[rows] == MENDED, wrap_lon(180 + rest), lon)
    return places, state


def _on_land(code: str, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    east = np.mod(lon, 360)  # 0 to 360, so that boxes across 180 are contiguous
    inside = np.zeros(len(lon), dtype=bool)
    for west, south, far, north in _LAND[code]:
        inside |= (east >= west) & (east <= far) & (lat >= south) & (lat <= north)
    return inside
