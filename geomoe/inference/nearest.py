"""How far a place is from the nearest one that a network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.coords import EARTH_RADIUS_KM, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_CHUNK = 512


class TrainingPlaces:
    """The training places that a checkpoint carries.

    Args:
        info: a checkpoint's facts; one written before there was ``places`` knows none.

    Attributes:
        known: whether the checkpoint carries any.
        within_km: how much longer than the true distance an answer may be.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        places = info.get("places") or {"lon": [], "lat": [], "within_km": 0.0}
        self._vectors = unit_vectors(np.stack([places["lon"], places["lat"]], axis=1).astype(np.float64))
        self.known, self.within_km = len(self._vectors) > 0, float(places["within_km"])

    def km(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) great-circle km from each of (N, 2) degrees to the nearest; NaN where it is not known."""
        distance = np.full(len(lonlat), np.nan)
        rows = np.flatnonzero(~np.isnan(lonlat[:, 0])) if self.known else np.array([], dtype=np.int64)
        vectors = unit_vectors(lonlat[rows])
        for start in range(0, len(rows), _CHUNK):
            part = vectors[start : start + _CHUNK]
            best = (part @ self._vectors.T).argmax(axis=1)
            # the chord, not the cosine: exact for places that are metres apart
            chord = np.linalg.norm(part - self._vectors[best], axis=1)
            angle = 2 * np.arcsin(np.clip(chord / 2, 0, 1))
            distance[rows[start : start + _CHUNK]] = EARTH_RADIUS_KM * angle
        return distance
