"""Thin the training places of a network so that they fit in its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 20_000  # places that are kept: about 400 KB in a checkpoint
#: Sides in degrees of the cells in each of which one place is kept; the smallest that keeps few enough is
#: used.
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
DEGREE_KM = 111.32  # km in a degree of longitude at the equator, where it is longest


def thin_places(lonlat: NDArray[np.float64], most: int = MOST) -> dict[str, Any]:
    """Keep one known place in each cell of a grid, as plain types for a checkpoint's facts.

    Kept places are input places, rounded to five decimals, so the distance to the nearest kept place is
    never shorter than the true distance, and longer by at most ``within_km`` (the diagonal of a cell).

    Args:
        lonlat: (N, 2) degrees; NaN where unknown.
        most: places that may be kept.

    Returns:
        ``lon`` and ``lat``, lists of degrees, and ``within_km``.
    """
    known = lonlat[~np.isnan(lonlat[:, 0])]
    if not len(known):
        return {"lon": [], "lat": [], "within_km": 0.0}
    for step in STEPS:
        _, first = np.unique(np.floor(known / step), axis=0, return_index=True)
        if len(first) <= most:
            break
    kept = known[np.sort(first)].round(5)
    return {
        "lon": kept[:, 0].tolist(),
        "lat": kept[:, 1].tolist(),
        "within_km": round(float(np.hypot(step, step)) * DEGREE_KM + 0.002, 3),
    }
