"""The side of the cells of a score map: fitted to the extent of the samples and to how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 10  # cells or places with fewer samples are drawn faintly: their accuracy is unreliable
#: Sides in degrees, of which one is chosen. Data of the whole Earth has the largest.
CELLS = (6.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
ACROSS = 8  # least number of cells on the longer side of the data
LEAST_ACROSS = 4  # the same if there are few samples
LEAST = 1e-4  # degrees, 10 m: places closer than this count as one


def fit_cell(lonlat: NDArray[np.float64], samples: NDArray[np.int64], step: float = 0.0) -> float:
    """Choose the side of the cells in degrees.

    It is the largest of :data:`CELLS` with at least 8 cells on the longer side of the data. Where the cells
    with samples hold fewer than 10 on average it is a larger one, as long as 4 cells are left on that side.

    Args:
        lonlat: (N, 2) degrees of the places; longitudes are taken around the antimeridian.
        samples: (N,) number of samples at each.
        step: side in degrees of the cells whose samples are already joined; 0: none are. The result is a
            multiple of it.
    """
    sides = [side for side in CELLS if divides(step, side)] or [step]
    longer = _longer_side(lonlat)
    chosen = next((side for side in sides if longer / side >= ACROSS), sides[-1])
    for side in reversed(sides[: sides.index(chosen)]):
        if samples.sum() >= FEW * _occupied(lonlat, chosen) or longer / side < LEAST_ACROSS:
            break
        chosen = side
    return chosen


def check_cell(cell: float, step: float) -> None:
    """Refuse a side of cells that does not divide 180 degrees, is no multiple of ``step``, or is below 10 m.

    Raises:
        InputError: the side cannot be used.
    """
    if not 0 < cell <= 90 or not divides(cell, 180.0):
        raise InputError(f"cell: expected degrees that divide 180, such as 0.5, 1 or 6; got {cell:g}")
    if cell < LEAST * (1 - 1e-9):
        least = f"places are kept to {LEAST:g} degrees (10 m)"
        raise InputError(f"cell: {least}; give so much or more; got {cell:g}")
    if not divides(step, cell):
        raise InputError(
            f"cell: the samples are joined in cells of {step:g} degrees; give a multiple; got {cell:g}"
        )


def divides(step: float, side: float) -> bool:
    """Whether a side is a whole number of steps; a step of 0 divides every side."""
    if not step:
        return True
    times = side / step
    return side >= step and abs(times - round(times)) < min(1e-6 * times, 0.01)


def _longer_side(lonlat: NDArray[np.float64]) -> float:
    """Degrees of longitude or latitude that the places span, the shorter way around the Earth."""
    lon = np.sort(lonlat[:, 0] % 360)
    around = 360 - float(np.diff(lon, append=lon[0] + 360).max())
    return max(around, float(np.ptp(lonlat[:, 1])))


def _occupied(lonlat: NDArray[np.float64], side: float) -> int:
    corner = np.floor((lonlat + np.array([180.0, 90.0])) / side + 1e-9)
    return len(np.unique(corner, axis=0))
