"""The places of tables with geometry: points in any CRS, in degrees."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import shapely

from geomoe.errors import DataError, one_line
from geomoe.reading.beside import grid_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_ADVICE = "save points (in QGIS: Centroids), or give columns lon and lat"


def has_points(frame: pd.DataFrame) -> bool:
    """Return whether a table has geometry, and all its geometries are points."""
    if not isinstance(frame, geopandas.GeoDataFrame):
        return False
    return not _others(*_single(frame)).any()


def lonlat_of_geometry(frame: geopandas.GeoDataFrame, path: Path) -> NDArray[np.float64]:
    """Return (N, 2) lonlat degrees of the points of a table in any CRS; (NaN, NaN) where there is no point.

    A multipoint of one point counts as that point. Without a CRS the numbers are taken as degrees, which is
    logged. A point that cannot be converted from its CRS to degrees is infinite.

    Raises:
        DataError: a geometry is not a point; there is no CRS, and most numbers cannot be degrees; or the CRS
            cannot be converted to degrees.
    """
    points, known = _single(frame)
    other = _others(points, known)
    if other.any():
        row = int(np.flatnonzero(other)[0])
        kind = frame.geometry.iloc[row].geom_type
        raise DataError(f"{path}: expected points; row {row + 1} is a {kind}; {_ADVICE}")
    crs = frame.geometry.crs
    if crs is not None and not crs.equals("EPSG:4326", ignore_axis_order=True):
        points = in_degrees(geopandas.GeoSeries(points, crs=crs), path).to_numpy()
    lonlat = np.full((len(frame), 2), np.nan)
    lonlat[known] = shapely.get_coordinates(points[known])
    if crs is None and known.any():
        _say_no_crs(lonlat, path)
    return lonlat


def _single(frame: geopandas.GeoDataFrame) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return (N,) geometries, multipoints of one point as points, and (N,) flags of those that exist."""
    shapes = frame.geometry.to_numpy()
    shapes = np.array(list(shapes), dtype=object)
    known = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    single = known & (shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOINT)
    single &= shapely.get_num_geometries(shapes) == 1
    shapes[single] = shapely.get_geometry(shapes[single], 0)
    return shapes, known


def _others(shapes: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return known & (shapely.get_type_id(shapes) != shapely.GeometryType.POINT)


def in_degrees(shapes: geopandas.GeoSeries, path: object) -> geopandas.GeoSeries:
    """Return geometries in EPSG:4326.

    Args:
        shapes: geometries with a CRS.
        path: their file, for errors.

    Raises:
        DataError: the CRS cannot be converted to degrees: it is geocentric, of heights or of a building, of
            another planet, or unknown to PROJ; or it names a file, which PROJ would open.
    """
    grid = grid_of(shapes.crs.to_wkt())
    if grid is not None:
        raise DataError(f"{path}: its CRS names a file ({grid[:80]})")
    if not (shapes.crs.is_geographic or shapes.crs.is_projected):
        what = one_line(ValueError(f"{shapes.crs.name}, {shapes.crs.type_name}"), 60)
        raise DataError(f"{path}: its CRS ({what}) has no degrees; save it in EPSG:4326")
    try:
        return shapes.to_crs("EPSG:4326")
    except Exception as error:  # pyproj's errors
        msg = f"{path}: its CRS ({one_line(ValueError(shapes.crs.name), 60)}) cannot be brought to degrees"
        raise DataError(f"{msg} ({one_line(error, 120)}); save it in EPSG:4326") from error


def _say_no_crs(lonlat: NDArray[np.float64], path: Path) -> None:
    where = " that can be read (in its .prj)" if path.suffix.lower() == ".shp" else ""
    beyond = (np.abs(lonlat) > (360, 90)).any(axis=1)
    if 2 * beyond.sum() > (~np.isnan(lonlat[:, 0])).sum():  # fewer are faults of their rows
        row = int(np.flatnonzero(beyond)[0])
        x, y = lonlat[row]
        msg = f"{path}: has no CRS{where}, and row {row + 1} ({x:g}, {y:g}) is not in degrees; save its CRS"
        raise DataError(msg)
    log.warning("%s: has no CRS%s; the numbers of its points are taken as degrees", path, where)
