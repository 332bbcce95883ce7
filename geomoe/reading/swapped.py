"""Detect tables with swapped lon and lat columns by comparison with the images' georeference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.coords import great_circle_km
from geomoe.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


FAR_KM = 100.0  # a table's place is doubtful if it is farther than this from the image's georeference


def refuse_swapped(
    given: NDArray[np.float64], own: NDArray[np.float64], filename: NDArray[Any], where: Path
) -> NDArray[np.bool_]:
    """Return (N,) flags of places far from the images' georeference; refuse swapped lon and lat.

    Args:
        given: (N, 2) degrees from the table; NaN where unknown.
        own: (N, 2) degrees from the images' georeference; NaN where they have none.
        filename: (N,) file names.
        where: the table, for errors.

    Raises:
        DataError: swapping lon and lat moves most of the far places near the images' georeference.
    """
    far = np.zeros(len(given), dtype=bool)
    both = ~np.isnan(given[:, 0]) & ~np.isnan(own[:, 0])
    far[both] = great_circle_km(given[both], own[both]) > FAR_KM
    swapped = _near(given[far][:, ::-1], own[far])
    if len(swapped) and swapped.mean() > 0.5:
        row = int(np.flatnonzero(far)[swapped][0])
        (lon, lat), (x, y) = given[row], own[row]
        msg = (
            f"{where}: the columns lon and lat look swapped: {filename[row]} has lon={lon:g}, lat={lat:g}, "
            f"and its own georeference says lon={x:g}, lat={y:g} ({len(swapped)} such rows)"
        )
        raise DataError(msg)
    return far


def _near(swapped: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.bool_]:
    possible = np.abs(swapped[:, 1]) <= 90
    return possible & (great_circle_km(np.where(possible[:, None], swapped, 0), own) <= FAR_KM)
