"""Compare country codes with country outlines: distance of samples from their country."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely

from geomoe.checking.places import Finding
from geomoe.earth.nearest import nearest_km
from geomoe.errors import DataError, one_line
from geomoe.support.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

#: In km: outlines are coarse, footprints are large, and ports, lighthouses and wind farms are in the sea.
BORDER_KM = 25.0
STEP = 0.05  # degrees between the points of an outline to which distances are measured
MOST = 20  # limit of listed samples of a split
#: Columns of an outline file that may hold alpha-3 codes, best first (Natural Earth's, then others').
CODES = ("iso_a3_eh", "iso_a3", "adm0_a3", "alpha-3", "alpha_3", "iso3", "shapegroup")


class Outside(NamedTuple):
    """A sample outside the country of its code: row in the data set, code, degrees, km to the country."""

    row: int
    code: str
    lon: float
    lat: float
    km: float


class Countries(NamedTuple):
    """The country codes of one split.

    Attributes:
        judged: samples with a known place and a code that has an outline.
        outside: samples more than BORDER_KM outside their country.
        median_km: median distance of these samples; NaN if there are none.
        max_km: maximum distance of these samples; NaN if there are none.
        furthest: the MOST samples with the largest distances.
        not_judged: code without an outline -> number of samples; "" means no code.
    """

    judged: int
    outside: int
    median_km: float
    max_km: float
    furthest: list[Outside]
    not_judged: dict[str, int]


def read_outlines(path: str | os.PathLike[str]) -> dict[str, shapely.Geometry]:
    """Read country outlines by ISO 3166-1 alpha-3 code, in degrees, from a supported vector file.

    Raises:
        DataError: the file cannot be read, has no CRS or no column of such codes, or is damaged.
    """
    from geomoe.reading.points import in_degrees
    from geomoe.reading.vectors import read_shapes

    frame = read_shapes(path)
    columns = {str(column).lower(): column for column in frame.columns}
    code = next((columns[name] for name in CODES if name in columns), None)
    if code is None or frame.crs is None:
        what = "no CRS" if code is not None else f"no column of alpha-3 codes ({', '.join(CODES)})"
        raise DataError(f"{path}: has {what}; Natural Earth's ne_10m_admin_0_countries has what is needed")
    wrong = [value for value in frame[code].dropna() if not isinstance(value, str)]
    if wrong:
        raise DataError(
            f"{path}: {code} holds {str(wrong[0])[:80]!r}, which is no alpha-3 code such as 'FRA'"
        )
    shapes = frame[[code, frame.geometry.name]].set_geometry(in_degrees(frame.geometry, path))
    try:
        merged = shapes.dissolve(by=code)
    except (shapely.errors.GEOSException, ValueError) as error:
        raise DataError(f"{path}: outlines of one country cannot be joined: {one_line(error)}") from error
    return dict(zip(map(str, merged.index), merged.geometry, strict=True))


def has_codes(data: LabelledImages) -> bool:
    """Return whether samples have codes: ``countries``, and positions in the column ``country``."""
    return bool(data.countries) and "country" in data.extra


def km_outside(data: LabelledImages, outlines: Mapping[str, shapely.Geometry]) -> NDArray[np.float64]:
    """Return (N,) km from each sample to the country of its code; 0 inside, NaN if unknown.

    Args:
        data: a split with codes; -1 means no code.
        outlines: code -> outline in degrees, from :func:`read_outlines` or geomoe.earth.countries.
    """
    country, known = np.asarray(data.extra["country"]), ~np.isnan(data.lonlat[:, 0])
    km = np.full(len(data), np.nan)
    for number in np.unique(country[known & (country >= 0)]):
        outline = outlines.get(data.countries[number].upper())
        if outline is not None and not outline.is_empty:
            own = np.flatnonzero(known & (country == number))
            km[own] = distance_km(outline, data.lonlat[own])
    return km


def distance_km(outline: shapely.Geometry, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) great-circle km from places to an outline in degrees; 0 inside.

    Distances are measured to points along the outline that are at most STEP apart: they are too long by up
    to 3 km near the border, and by at most 0.2 km beyond 20 km.
    """
    km = np.zeros(len(lonlat))
    outside = ~_inside(outline, lonlat)
    if outside.any():
        border = shapely.get_coordinates(shapely.segmentize(outline, STEP))
        km[outside] = nearest_km(lonlat[outside], border)
    return km


def _inside(outline: shapely.Geometry, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether a place is in a polygon of the outline, or on its edge."""
    west, _, east, _ = outline.bounds
    turns = (
        (0,) if west >= -180 and east <= 180 else (-360, 0, 360)
    )  # the outline continues beyond the antimeridian
    inside = np.zeros(len(lonlat), dtype=bool)
    for turn in turns:
        # Test polygons one by one: in a MultiPolygon, a place in the overlap of two would be in neither.
        tree = shapely.STRtree(shapely.points(lonlat[:, 0] + turn, lonlat[:, 1]))
        inside[tree.query(shapely.get_parts(outline), predicate="intersects")[1]] = True
    return inside


def summarise(data: LabelledImages, km: NDArray[np.float64]) -> Countries:
    """Summarise one split from the result of :func:`km_outside`."""
    codes, country = data.countries, np.asarray(data.extra["country"])
    outside = np.flatnonzero(km > BORDER_KM)
    furthest = [
        Outside(
            int(data.rows[i]),
            codes[country[i]],
            float(data.lonlat[i, 0]),
            float(data.lonlat[i, 1]),
            float(km[i]),
        )
        for i in outside[np.argsort(-km[outside], kind="stable")][:MOST]
    ]
    open_cases = country[np.isnan(km) & ~np.isnan(data.lonlat[:, 0])]
    numbers, counts = np.unique(open_cases, return_counts=True)
    not_judged: dict[str, int] = {}
    for number, count in zip(numbers, counts, strict=True):
        code = codes[number] if number >= 0 else ""
        not_judged[code] = not_judged.get(code, 0) + int(count)
    return Countries(
        judged=int((~np.isnan(km)).sum()),
        outside=len(outside),
        median_km=float(np.median(km[outside])) if len(outside) else float("nan"),
        max_km=float(km[outside].max()) if len(outside) else float("nan"),
        furthest=furthest,
        not_judged=not_judged,
    )


def look_at_countries(name: str, found: Countries) -> Iterator[Finding]:
    """Yield a warning for a split with samples outside their country."""
    if found.outside:
        row, code, lon, lat, km = found.furthest[0]
        lie = counted(found.outside, "sample lies", "samples lie")
        text = f"{lie} more than {BORDER_KM:g} km outside the country of their code; "
        place = f"row {row} says {code} and is at lon {lon:.3f}, lat {lat:.3f}, {km:,.0f} km away"
        yield Finding("warning", name, text + place)
