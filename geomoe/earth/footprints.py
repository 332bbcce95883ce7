"""Find images next to or over each other: pairs of footprints that touch, anywhere on the sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.coords import EARTH_RADIUS_KM, unit_vectors
from geomoe.earth.nearest import nearest_km

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SLACK = 0.02  # share of the smaller radius by which footprints that touch may be apart: corners are rounded
_POINT_KM = 0.001  # radius of an image of which only the place is known: two of them touch at the same place
_BLOCK = 4096  # images whose neighbours are looked up at once, which limits the memory


class Footprints(NamedTuple):
    """Where images are.

    Attributes:
        corners: (N, 4, 2) lonlat degrees of the corners, in order around the image; NaN where unknown.
        lonlat: (N, 2) degrees of the middle; NaN where unknown.
    """

    corners: NDArray[np.float64]
    lonlat: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Footprints:
        """Return the footprints of some images."""
        return Footprints(self.corners[rows], self.lonlat[rows])

    def middle(self) -> NDArray[np.float64]:
        """(N, 3) unit vectors of the middle: of the corners where they are known, else of the place."""
        vectors = np.full((len(self.lonlat), 3), np.nan)
        known = ~np.isnan(self.lonlat[:, 0])
        vectors[known] = unit_vectors(self.lonlat[known])
        whole = ~np.isnan(self.corners).any(axis=(1, 2))
        around = unit_vectors(self.corners[whole].reshape(-1, 2)).reshape(-1, 4, 3).mean(axis=1)
        vectors[whole] = around / np.linalg.norm(around, axis=1, keepdims=True)
        return vectors

    def radius_km(self) -> NDArray[np.float64]:
        """(N,) km from the middle to the furthest corner; a metre where there are no corners."""
        radius = np.full(len(self.lonlat), _POINT_KM)
        whole = np.flatnonzero(~np.isnan(self.corners).any(axis=(1, 2)))
        away = self.corner_vectors(whole) - self.middle()[whole][:, None]
        radius[whole] = np.maximum(np.linalg.norm(away, axis=2).max(axis=1) * EARTH_RADIUS_KM, _POINT_KM)
        return radius

    def corner_vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 4, 3) unit vectors of the corners of some images; of the middle four times without corners."""
        corners = unit_vectors(self.corners[rows].reshape(-1, 2)).reshape(-1, 4, 3)
        bare = np.isnan(corners).any(axis=(1, 2))
        if bare.any():
            corners[bare] = unit_vectors(self.lonlat[rows][bare])[:, None]
        return corners


class Neighbours(NamedTuple):
    """Which of N images touch each other. Images with exactly the same outline share one of M outlines.

    Attributes:
        outline: (N,) number of the outline of each image; an image without a place has its own.
        pairs: (P, 2) outlines that touch.
    """

    outline: NDArray[np.int64]
    pairs: NDArray[np.int64]

    def beside(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,) whether an image touches one of the ``chosen`` (N,), or is one of them."""
        hit = np.zeros(self.outline.max(initial=-1) + 1, dtype=bool)
        hit[self.outline[chosen]] = True
        near = hit.copy()
        for one, other in ((0, 1), (1, 0)):
            np.logical_or.at(near, self.pairs[:, one], hit[self.pairs[:, other]])
        return near[self.outline]

    def links(self) -> NDArray[np.int64]:
        """(Q, 2) pairs of images that connect what touches, directly or through others."""
        first = np.unique(self.outline, return_index=True)[1]
        alike = np.stack([first[self.outline], np.arange(len(self.outline))], axis=1)
        return np.concatenate([alike, first[self.pairs]])


def neighbours(places: Footprints) -> Neighbours:
    """Return which images touch or overlap."""
    known = ~np.isnan(places.lonlat[:, 0]) | ~np.isnan(places.corners).any(axis=(1, 2))
    rows = np.concatenate([places.corners.reshape(-1, 8), places.lonlat], axis=1).round(7)
    rows = np.where(np.isnan(rows), 1000.0, rows)  # NaN would differ from itself
    _, first, outline = np.unique(rows[known], axis=0, return_index=True, return_inverse=True)
    number = np.empty(len(known), dtype=np.int64)
    number[known] = outline.reshape(-1)
    number[~known] = len(first) + np.arange(int((~known).sum()))
    return Neighbours(number, touching(places.take(np.flatnonzero(known)[first])))


def touching(places: Footprints) -> NDArray[np.int64]:
    """Return (P, 2) pairs i < j of images that touch or overlap; without corners, those at the same place."""
    middle, radius = places.middle(), places.radius_km()
    found = [_that_touch(places, pairs, middle, radius) for pairs in _candidates(middle, radius)]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def _candidates(middle: NDArray[np.float64], radius: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs whose circles meet; images of about one size are looked up together, with their radius."""
    from scipy.spatial import cKDTree

    known = np.flatnonzero(~np.isnan(middle[:, 0]))
    size = np.ceil(np.log2(radius / _POINT_KM)).astype(np.int64)
    for one in np.unique(size[known]):
        smaller = known[size[known] <= one]
        tree = cKDTree(middle[smaller])
        reach = 2 * _POINT_KM * 2.0 ** float(one) * (1 + SLACK) / EARTH_RADIUS_KM
        own = known[size[known] == one]
        for start in range(0, len(own), _BLOCK):
            rows = own[start : start + _BLOCK]
            lists = tree.query_ball_point(middle[rows], reach)
            first = np.repeat(rows, [len(found) for found in lists])
            second = smaller[np.concatenate([np.asarray(found, dtype=np.int64) for found in lists])]
            pairs = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            apart = np.linalg.norm(middle[pairs[:, 0]] - middle[pairs[:, 1]], axis=1) * EARTH_RADIUS_KM
            yield pairs[apart <= radius[pairs].sum(axis=1) * (1 + SLACK)]


def _that_touch(
    places: Footprints, pairs: NDArray[np.int64], middle: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Keep the pairs whose outlines meet, in the plane that touches the Earth between them."""
    if not len(pairs):
        return pairs
    up = middle[pairs].mean(axis=1)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    aside = np.where(np.abs(up[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    east = np.cross(aside, up)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(up, east)
    plane = np.stack([east, north], axis=1)
    first, second = (
        EARTH_RADIUS_KM * np.einsum("pcx,pdx->pcd", places.corner_vectors(rows), plane) for rows in pairs.T
    )
    slack = np.maximum(SLACK * radius[pairs].min(axis=1), _POINT_KM)
    return pairs[_apart(first, second) <= slack]


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (P,) the widest gap between (P, 4, 2) convex outlines across any line; 0 where they meet.

    Two convex outlines are apart if and only if a line parallel to one of their edges separates them. The
    line between the middles is added for outlines that are points.
    """
    edges = np.concatenate([np.roll(one, -1, axis=1) - one for one in (first, second)], axis=1)
    normals = np.stack([-edges[..., 1], edges[..., 0]], axis=2)
    axes = np.concatenate([normals, (second.mean(axis=1) - first.mean(axis=1))[:, None]], axis=1)
    length = np.linalg.norm(axes, axis=2, keepdims=True)
    axes = np.divide(axes, length, out=np.zeros_like(axes), where=length > 0)
    one, other = (np.einsum("pad,pcd->pac", axes, outline) for outline in (first, second))
    gaps = np.maximum(other.min(axis=2) - one.max(axis=2), one.min(axis=2) - other.max(axis=2))
    return np.maximum(gaps.max(axis=1), 0.0)


def within_km(places: Footprints, others: Footprints, km: float) -> NDArray[np.bool_]:
    """Return (N,) which images come within ``km`` of one of the others, by the circles around them.

    The circle around a square reaches a fifth of its side beyond the side, so that the result contains too
    many images rather than too few. Images without a place are never in it.
    """
    close = np.zeros(len(places.lonlat), dtype=bool)
    here, there = _lonlat(places.middle()), _lonlat(others.middle())
    own, theirs = places.radius_km(), others.radius_km()
    size = np.ceil(np.log2(theirs / _POINT_KM))
    for one in np.unique(size[~np.isnan(there[:, 0])]):
        chosen = size == one
        away = nearest_km(here, there[chosen])
        with np.errstate(invalid="ignore"):
            close |= away - own - theirs[chosen].max() <= km
    return close


def _lonlat(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = vectors.T
    return np.degrees(np.stack([np.arctan2(y, x), np.arcsin(np.clip(z, -1, 1))], axis=1))


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (count,) numbers of connected components, the lowest row of each."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, number = connected_components(links, directed=False)
    first = np.full(number.max() + 1 if count else 0, count, dtype=np.int64)
    np.minimum.at(first, number, np.arange(count))
    return first[number]
