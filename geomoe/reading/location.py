"""Where the pixels of an open raster are: its georeference, and the place of a point in degrees.

Control points (GCPs) give an affine transform by least squares. Longitudes jump by 360 degrees at the
antimeridian and lose their meaning at the poles, so a fit in the CRS of the points must agree with a fit in a
plane that touches the Earth between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform as to_crs

from geomoe.coords import EARTH_RADIUS_KM, great_circle_km, unit_vectors, wrap_lon
from geomoe.reading.gdal import GDAL_ERRORS
from geomoe.reading.world import world_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

NOT_REFERENCED = "no georeference"
_FEW = "control points that fix no place (three are needed, not on one line)"
_BENT = "control points that fit no plane"
_OFF = "off the Earth"
_FLAT = 1e-4  # least ratio of the two extents of control points that are not on a line
_BEND = 0.05  # the same, in the plane, for points that are on a line in their CRS
_APART = 0.1  # largest difference of two fits, and largest residual, as a share of the control points' extent


class Located(NamedTuple):
    """The georeference of a raster.

    Attributes:
        transform: affine transform from column, row in pixels to x, y of the CRS; None: the place is unknown.
        crs: the CRS; None: there is none.
        unknown: why the place is unknown; empty if it is known.
    """

    transform: Any
    crs: Any
    unknown: str


def located(source: Any) -> Located:  # noqa: ANN401 - an open rasterio data set
    """Return the georeference of an open raster; control points are used if there is no transform."""
    transform, crs = source.transform, source.crs
    fault = world_fault(source)
    if fault and not source.gcps[0]:
        return Located(None, crs, fault)
    points, points_crs = source.gcps
    if transform.is_identity and points:
        return _from_points(points, points_crs, (source.width / 2, source.height / 2))
    if transform.is_identity:
        only = "only coefficients for orthorectification (RPC); orthorectify it"
        return Located(None, crs, only if source.tags(ns="RPC") else NOT_REFERENCED)
    if not np.isfinite(transform[:6]).all() or transform.determinant == 0:
        return Located(None, crs, "a georeference without extent")
    return Located(transform, crs, _fault(crs))


def georeference(source: Any) -> tuple[Any, Any]:  # noqa: ANN401 - an open rasterio data set
    """Return the transform (the identity if none is known) and the CRS (or None) of an open raster."""
    found = located(source)
    return found.transform or Affine.identity(), found.crs


def place_of(source: Any, column: float, row: float) -> tuple[tuple[float, float], str]:  # noqa: ANN401
    """Return (lon, lat) in degrees of a point of an open raster; or (NaN, NaN) and the reason.

    Args:
        source: an open rasterio data set.
        column: pixels from the left edge.
        row: pixels from the upper edge.
    """
    found = located(source)
    nowhere = (float("nan"), float("nan"))
    if found.unknown:
        return nowhere, found.unknown
    lon, lat = places(found, [column], [row])[0].tolist()
    return (nowhere, _OFF) if np.isnan(lon) else ((lon, lat), "")


def _fault(crs: Any) -> str:  # noqa: ANN401 - a CRS of rasterio, or None
    """Return why a CRS gives no places on the Earth: it is missing, local or vertical; empty if it does."""
    if not crs:
        return "no CRS"
    return "" if crs.is_geographic or crs.is_projected else "a CRS that is not tied to the Earth"


def places(found: Located, column: ArrayLike, row: ArrayLike) -> NDArray[np.float64]:
    """Return (N, 2) degrees of points of a raster, longitudes in [-180, 180); NaN where unknown.

    Args:
        found: the georeference.
        column: (N,) pixels from the left edge.
        row: (N,) pixels from the upper edge.
    """
    column, row = np.asarray(column, dtype=np.float64), np.asarray(row, dtype=np.float64)
    if found.unknown:
        return np.full((len(column), 2), np.nan)
    a, b, c, d, e, f = found.transform[:6]
    lonlat = _degrees(found.crs, a * column + b * row + c, d * column + e * row + f)
    with np.errstate(invalid="ignore"):
        lonlat[~((np.abs(lonlat[:, 1]) <= 90) & (np.abs(lonlat[:, 0]) <= 360))] = np.nan
    lonlat[:, 0] = wrap_lon(lonlat[:, 0])
    return lonlat


def corners_of(source: Any) -> NDArray[np.float64]:  # noqa: ANN401 - an open rasterio data set
    """Return (4, 2) degrees of the corners of an open raster, in order around it; NaN where unknown."""
    width, height = source.width, source.height
    return places(located(source), [0, width, width, 0], [0, 0, height, height])


def middle_of(window: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float]:
    """Return column and row of the middle of the part of a window that is inside a raster.

    Args:
        window: left column, upper row, width, height in pixels.
        width: columns of the raster.
        height: rows of the raster.
    """
    left, top, across, down = window
    column = (max(left, 0) + min(left + across, width)) / 2
    return column, (max(top, 0) + min(top + down, height)) / 2


def _degrees(crs: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
    """Return (N, 2) lon, lat as PROJ gives them; NaN where it gives none."""
    try:
        lonlat = np.stack(to_crs(crs, "EPSG:4326", x, y), axis=1)
    except GDAL_ERRORS:  # raised for all points because of one
        if len(x) == 1:
            return np.full((1, 2), np.nan)
        return np.concatenate([_degrees(crs, x[k : k + 1], y[k : k + 1]) for k in range(len(x))])
    lonlat[~np.isfinite(lonlat).all(axis=1)] = np.nan
    return lonlat


def _from_points(points: list[Any], crs: Any, middle: tuple[float, float]) -> Located:  # noqa: ANN401
    if _fault(crs):
        return Located(None, crs, _fault(crs))
    pixel = np.array([(point.col, point.row) for point in points], dtype=np.float64)
    xy = np.array([(point.x, point.y) for point in points], dtype=np.float64)
    if not np.isfinite(xy).all() or not np.isfinite(pixel).all():
        return Located(None, crs, _FEW)
    lonlat = _degrees(crs, *xy.T)
    lonlat = np.where(np.abs(lonlat) <= (360, 90), lonlat, np.nan)
    if np.isnan(lonlat).any():
        return Located(None, crs, _OFF)
    if _on_a_line(pixel):
        return Located(None, crs, _FEW)
    centre = unit_vectors(lonlat).mean(axis=0)
    if np.linalg.norm(centre) < 0.5:  # the points surround the Earth: no plane touches all of them
        return _of_the_whole_earth(pixel, xy, crs)
    lon, lat = np.degrees([np.arctan2(centre[1], centre[0]), np.arcsin(centre[2] / np.linalg.norm(centre))])
    plane = CRS.from_proj4(f"+proj=aeqd +lat_0={lat:.9f} +lon_0={lon:.9f} +datum=WGS84 +units=m")
    flat = np.stack(to_crs("EPSG:4326", plane, *lonlat.T), axis=1)
    # a line that is straight in degrees bends in the plane
    straight = all(_on_a_line(own) for own in _turned(xy, crs))
    if _on_a_line(flat, _BEND if straight else _FLAT):
        return Located(None, crs, _FEW)
    fitted, wrong = _fit(pixel, flat)
    extent = 2 * float(np.linalg.norm(flat, axis=1).max())
    if wrong > _APART * extent:
        return Located(None, crs, _BENT)
    truth = places(Located(fitted, plane, ""), *np.array([middle]).T)
    for own in _turned(xy, crs):
        if not _on_a_line(own):
            answer = Located(_fit(pixel, own)[0], crs, "")
            there = places(answer, *np.array([middle]).T)
            if great_circle_km(there, truth)[0] * 1000 <= _APART * extent:  # false for NaN
                return answer
    return Located(fitted, plane, "")


def _of_the_whole_earth(pixel: NDArray[np.float64], xy: NDArray[np.float64], crs: Any) -> Located:  # noqa: ANN401
    if _on_a_line(xy):
        return Located(None, crs, _FEW)
    fitted, wrong = _fit(pixel, xy)
    bent = wrong > _APART * np.ptp(xy, axis=0).max()
    return Located(None, crs, _BENT) if bent else Located(fitted, crs, "")


def _turned(xy: NDArray[np.float64], crs: Any) -> Iterator[NDArray[np.float64]]:  # noqa: ANN401
    """Yield the points unchanged and, for longitudes, with the jump of 360 degrees where no point is."""
    yield xy
    if crs.is_geographic:
        turn = 2 * np.pi / float(crs.units_factor[1])
        ordered = np.sort(xy[:, 0] % turn)
        after = int(np.diff(ordered, append=ordered[0] + turn).argmax())
        begin = ordered[(after + 1) % len(ordered)]
        lon = (xy[:, 0] - begin) % turn + begin
        yield np.stack([lon, xy[:, 1]], axis=1)


def _on_a_line(points: NDArray[np.float64], ratio: float = _FLAT) -> bool:
    """Return whether points are fewer than three, or one extent is at most ``ratio`` of the other."""
    if len(points) < 3:
        return True
    sizes = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(sizes[1] <= ratio * sizes[0])


def _fit(pixel: NDArray[np.float64], xy: NDArray[np.float64]) -> tuple[Any, float]:
    """Return the affine transform by least squares, and its largest error in units of the CRS."""
    design = np.column_stack([pixel, np.ones(len(pixel))])
    solution = np.linalg.lstsq(design, xy, rcond=None)[0]
    (a, b, c), (d, e, f) = solution.T.tolist()
    error = float(np.linalg.norm(design @ solution - xy, axis=1).max())
    return Affine(a, b, c, d, e, f), error


def metres_per_pixel(found: Located, column: float, row: float) -> float:
    """Return the ground size of a pixel in metres: the square root of its area, in any CRS; NaN if unknown.

    The area is measured on the sphere from the places half a pixel away, so that it is right for degrees and
    for projections that do not preserve lengths (Web Mercator).

    Args:
        found: the georeference.
        column: pixels from the left edge.
        row: pixels from the upper edge.
    """
    around = places(found, [column - 0.5, column + 0.5, column, column], [row, row, row - 0.5, row + 0.5])
    if np.isnan(around).any():
        return float("nan")
    points = unit_vectors(around) * (EARTH_RADIUS_KM * 1000)
    return float(np.sqrt(np.linalg.norm(np.cross(points[1] - points[0], points[3] - points[2]))))
