"""Counts of correct samples by place, which a report stores for its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.evaluation.reports.values import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.inference import Predictions

MOST = 4000  # places in a report; if there are more, neighbouring places are joined
#: Sides in degrees of the cells whose samples are joined in one place; 0: only samples at the same place (10
#: m).
STEPS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
_SAME = 4  # decimals of a degree
CORNER = np.array([180.0, 90.0])


def places_of(judged: Mapping[str, Predictions]) -> Places | None:
    """Group the samples of a split by place and domain.

    Args:
        judged: choice of experts -> predictions; all of the same samples.

    Returns:
        One row for each place and domain; None if no place is known.
    """
    some = next(iter(judged.values()))
    known = ~np.isnan(some.lonlat[:, 0])
    if not known.any():
        return None
    for step in STEPS:
        places = np.column_stack([some.domain[known], snap(some.lonlat[known], step)])
        unique, inverse = np.unique(places, axis=0, return_inverse=True)
        if len(unique) <= MOST:
            break
    inverse = inverse.reshape(-1)
    return Places(
        step=step,
        unplaced=int((~known).sum()),
        domain=tuple(unique[:, 0].astype(int).tolist()),
        lon=tuple(unique[:, 1].round(_SAME).tolist()),
        lat=tuple(unique[:, 2].round(_SAME).tolist()),
        count=tuple(np.bincount(inverse).tolist()),
        correct={
            choice: tuple(np.bincount(inverse, weights=found.correct[known]).astype(int).tolist())
            for choice, found in judged.items()
        },
    )


def snap(lonlat: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return (N, 2) the centre of the cell of each place; ``step`` 0: the place rounded to 10 m."""
    if not step:
        return lonlat.round(_SAME)
    last = np.round(2 * CORNER / step) - 1  # the pole lies in the last cell
    cell = np.minimum(np.floor((lonlat + CORNER) / step), last)
    return (cell + 0.5) * step - CORNER
