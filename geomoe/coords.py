"""Coordinates: the single entry point for places in geomoe.

Convention, everywhere: ``lonlat``, degrees, longitude first, shape (N, 2), float64. Unknown places
are (NaN, NaN). Any other order exists only inside the call that needs it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.errors import CoordinateError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius
HALF_TURN_KM = math.pi * EARTH_RADIUS_KM  # 20,015: nothing is further away than the opposite place
_LON, _LAT = ("lon", "longitude", "lng"), ("lat", "latitude")  # names of columns, in any case
_BALANCED = 1e-9  # a mean of unit vectors that is shorter than this has no direction

_MOST_CELLS = 150_000_000  # 0.025 degrees on a side, everywhere
_MOST_ON_A_SIDE = 1_000_000  # cells of a grid, so that a mistyped step does not fill the memory


class Places(NamedTuple):
    """Checked places: lonlat (N, 2) float64 degrees, has_location (N,) bool."""

    lonlat: NDArray[np.float64]
    has_location: NDArray[np.bool_]


def check_lonlat(lonlat: ArrayLike, *, where: str = "lonlat") -> Places:
    """Check places once, as they enter, and bring longitudes to [-180, 180).

    Args:
        lonlat: (N, 2) degrees, longitude first. Both NaN means that the place is unknown.
        where: name of the input in an error (a file and its columns, an argument).

    Returns:
        A new (N, 2) float64 array and which rows have a known place; the input is not changed.

    Raises:
        CoordinateError: another shape, exactly one NaN in a row, an infinity, a latitude beyond
            90 degrees or a longitude beyond 360.
    """
    try:
        array = _as_floats(lonlat)
    except (TypeError, ValueError) as error:
        msg = f"{where}: expected numbers in an (N, 2) array of lon, lat degrees; {error}"
        raise CoordinateError(msg) from error
    if array.ndim != 2 or array.shape[1] != 2:
        msg = f"{where}: expected shape (N, 2), lon first, in degrees; got {array.shape}"
        raise CoordinateError(msg)
    missing = np.isnan(array)
    half = missing[:, 0] != missing[:, 1]
    _refuse(array, half, where, "exactly one of lon, lat is missing; give both or neither")
    _refuse(array, np.isinf(array).any(axis=1), where, "infinite coordinate")  # type: ignore[arg-type]
    with np.errstate(invalid="ignore"):
        beyond = np.abs(array[:, 1]) > 90
        swapped = " (are lon and lat swapped?)" if (np.abs(array[beyond, 0]) <= 90).any() else ""
        _refuse(array, beyond, where, f"latitude beyond 90 degrees{swapped}")
        _refuse(array, np.abs(array[:, 0]) > 360, where, "longitude beyond 360 degrees")
    array[:, 0] = wrap_lon(array[:, 0])
    return Places(array, ~missing[:, 0])


def _as_floats(lonlat: ArrayLike) -> NDArray[np.float64]:
    """A new array of float64: columns of a table by name, NaN where an array is masked.

    Raises:
        TypeError: truth values, complex numbers, times, or no numbers.
        ValueError: no numbers, or a table without one column of longitudes and one of latitudes.
    """
    if hasattr(lonlat, "to_pandas"):  # tables of Arrow and the like
        lonlat = lonlat.to_pandas()
    if hasattr(lonlat, "columns"):  # of pandas, in which an order by name does not show
        lonlat = _of_table(lonlat)
    array: Any = np.asanyarray(lonlat)
    if array.dtype.kind in "bcmM" or (
        array.dtype == object and any(isinstance(one, bool | np.bool_) for one in array.flat)
    ):
        raise TypeError(f"got {array.dtype}")
    if isinstance(array, np.ma.MaskedArray):
        lonlat = np.ma.filled(array.astype(np.float64), np.nan)
    return np.array(lonlat, dtype=np.float64)


def _of_table(table: Any) -> Any:  # noqa: ANN401 - a DataFrame, which is not imported here
    """The (N, 2) values of a table's columns lon and lat by name, or of two columns without names."""
    names = list(table.columns)
    if names == [0, 1]:
        chosen = names
    else:
        chosen = [[name for name in names if str(name).casefold() in known] for known in (_LON, _LAT)]
        if [len(some) for some in chosen] != [1, 1]:
            raise ValueError(f"a table has to have the columns lon and lat; got {', '.join(map(str, names))}")
        chosen = [name for (name,) in chosen]
    for name in chosen:
        kind = table[name].dtype.kind
        if kind not in "iufO" or (kind == "O" and any(isinstance(one, bool) for one in table[name])):
            raise TypeError(f"got a column {name} of {table[name].dtype}")
    return np.stack([table[name].to_numpy(np.float64, na_value=np.nan) for name in chosen], axis=1)


def _refuse(array: NDArray[np.float64], bad: NDArray[np.bool_], where: str, why: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        lon, lat = array[row]
        msg = f"{where}: {why}; row {row} has lon={lon:.10g}, lat={lat:.10g} ({int(bad.sum())} such rows)"
        raise CoordinateError(msg)


def wrap_lon(lon: ArrayLike) -> NDArray[np.float64]:
    """Bring longitudes in degrees to [-180, 180)."""
    lon = np.asarray(lon, dtype=np.float64)
    inside = (lon >= -180) & (lon < 180)  # not changed, so that no digit is lost
    wrapped = np.mod(lon + 180.0, 360.0) - 180.0
    wrapped = np.where(wrapped >= 180, -180.0, wrapped)  # just below -180 rounds to 180
    return np.where(inside, lon, wrapped)


def unit_vectors(lonlat: ArrayLike) -> NDArray[np.float64]:
    """Points on the unit sphere, (N, 3): x to (0E, 0N), y to (90E, 0N), z to the North Pole."""
    lon, lat = np.radians(np.asarray(lonlat, dtype=np.float64)).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def mean_place(lonlat: ArrayLike) -> tuple[float, float] | None:
    """The mean of places on the sphere: the direction of the mean of their unit vectors.

    Args:
        lonlat: (N, 2) degrees; NaN where unknown.

    Returns:
        Longitude and latitude in degrees; None without a known place, or if the places balance each other.
    """
    places = np.asarray(lonlat, dtype=np.float64).reshape(-1, 2)
    known = places[~np.isnan(places).any(axis=1)]
    if not len(known):
        return None
    x, y, z = unit_vectors(known).mean(axis=0)
    if np.sqrt(x * x + y * y + z * z) < _BALANCED:
        return None
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def great_circle_km(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Great-circle distances in km between two (N, 2) arrays of lonlat, row by row (haversine)."""
    lon_a, lat_a = np.radians(np.asarray(a, dtype=np.float64)).T
    lon_b, lat_b = np.radians(np.asarray(b, dtype=np.float64)).T
    half = np.sin((lat_b - lat_a) / 2) ** 2
    half = half + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))


def half_wave_km(degree: float) -> float:
    """Half a wavelength on the ground of spherical harmonics of a degree: pi R / degree; infinite for 0.

    Waves exp(i k u . x) through the unit sphere have such half waves along u, with k for the degree.
    """
    return HALF_TURN_KM / degree if degree > 0 else math.inf


class Grid(NamedTuple):
    """A regular grid of cell centres: lon (W,) ascending, lat (H,) descending, step in degrees.

    Cells are row-major: cell ``row * W + column``. Row 0 is the northernmost. Across the antimeridian
    ``lon`` and the east of ``bounds`` go on beyond 180 (below 540); :meth:`sides` and :meth:`lonlat`
    bring longitudes back to [-180, 180).
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    step: float
    bounds: tuple[float, float, float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.lat), len(self.lon)

    def sides(self) -> list[tuple[slice, NDArray[np.float64]]]:
        """Columns and their longitudes in [-180, 180): one part, or two if the antimeridian is crossed.

        If the antimeridian is a border of cells, these are exactly the longitudes of the two grids that end
        and begin there.
        """
        west_side = int((self.lon < 180).sum())
        if west_side == len(self.lon):
            return [(slice(0, west_side), self.lon)]
        beyond = self.lon[west_side:]
        if _whole([(180 - self.bounds[0]) / self.step]):
            beyond = -180 + (np.arange(len(beyond), dtype=np.float64) + 0.5) * self.step
        found = [(slice(0, west_side), self.lon[:west_side]), (slice(west_side, None), wrap_lon(beyond))]
        return found if west_side else found[1:]

    def lonlat(self) -> NDArray[np.float64]:
        """Every cell centre, (H * W, 2), row-major, longitudes in [-180, 180)."""
        lon, lat = np.meshgrid(np.concatenate([lon for _, lon in self.sides()]), self.lat)
        return np.stack([lon.ravel(), lat.ravel()], axis=1)

    def areas(self) -> NDArray[np.float64]:
        """Exact share of the sphere's area in each cell, (H, W); the whole Earth sums to 1."""
        top, bottom = np.radians(self.lat + self.step / 2), np.radians(self.lat - self.step / 2)
        rows = (np.sin(top) - np.sin(bottom)) / 2 * self.step / 360
        return np.broadcast_to(rows[:, None], self.shape).copy()


def continuous(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """West, south, east, north as one range of longitudes: -180 <= west < 180, west < east <= west + 360.

    A box across the antimeridian may be given in two forms, with east below west (170, -170: RFC 7946, 5.2)
    or with east beyond 180 (170, 190); the result has the second form. A box entirely beyond 180 (185, 190)
    is moved back by a full turn. Any other box is not changed.

    Raises:
        CoordinateError: bounds off the Earth, or empty.
    """
    try:
        west, south, east, north = (float(one + 0) for one in bounds)  # no text
    except (TypeError, ValueError) as error:
        raise CoordinateError(
            f"bounds: expected west, south, east, north in degrees; got {bounds}"
        ) from error
    if 180 <= west < 360:  # begins on the other side
        west, east = west - 360, east - 360 if east >= west else east
    elif -180 <= east < west < 180:
        east += 360
    if not (-180 <= west < 180 and west < east <= west + 360 and -90 <= south < north <= 90):
        msg = (
            "bounds: expected west from -180 to 360, east up to west + 360 (across the antimeridian: below "
            f"west, or beyond 180) and -90 <= south < north <= 90; got {bounds}"
        )
        raise CoordinateError(msg)
    return west, south, east, north


def whole_cells(step: float, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The smallest box of whole cells of the Earth that contains ``bounds`` = (west, south, east, north).

    Bounds whose sides are whole numbers of cells are not changed, and neither are bounds that
    :func:`make_grid` refuses: a step that does not divide the Earth, or bounds that are no box.
    """
    try:
        west, south, east, north = continuous(bounds)
    except CoordinateError:
        return bounds
    if not 0 < step < np.inf or not _whole([180 / step]):
        return bounds
    if _whole([(east - west) / step, (north - south) / step]):
        return bounds
    low = np.floor((np.array([west + 180, south + 90]) / step).round(6)) * step
    high = np.ceil((np.array([east + 180, north + 90]) / step).round(6)) * step
    most = 180.0 if east <= 180 else 360.0 + float(low[0] - 180)
    west, south, east, north = np.concatenate([low, high]) - [180, 90, 180, 90]
    return float(west), float(south), min(float(east), most), min(float(north), 90.0)


def _whole(numbers: list[float]) -> bool:
    """Whether all are whole numbers from 1, within rounding."""
    return bool(np.allclose(numbers, np.round(numbers), atol=1e-6) and np.round(numbers).min() >= 1)


def make_grid(
    step: float = 0.5,
    bounds: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0),
) -> Grid:
    """Cells of ``step`` degrees that fill ``bounds`` = (west, south, east, north).

    The box may lie across the antimeridian, see :func:`continuous`.

    Raises:
        CoordinateError: bounds off the Earth or empty, or a step that is not positive, does not divide
            both sides, or makes too many cells: a million on one side, 150 million altogether.
    """
    bounds = west, south, east, north = continuous(bounds)
    columns, rows = (east - west) / step if step > 0 else 0, (north - south) / step if step > 0 else 0
    if not 0 < step < np.inf or not _whole([columns, rows]):
        msg = f"step: expected a positive number of degrees that divides both sides of {bounds}; got {step}"
        raise CoordinateError(msg)
    width, height = round(columns), round(rows)
    if max(width, height) > _MOST_ON_A_SIDE or width * height > _MOST_CELLS:
        cells = f"{width:.10g} x {height:.10g} cells" if columns > 1e9 else f"{width:,} x {height:,} cells"
        msg = f"step: {step:g} degrees make {cells} of {bounds}; choose a larger step"
        raise CoordinateError(msg)
    lon = west + (np.arange(width, dtype=np.float64) + 0.5) * step
    lat = north - (np.arange(height, dtype=np.float64) + 0.5) * step
    return Grid(lon, lat, float(step), (west, south, east, north))
