"""Country codes against outlines of the countries: how far outside does a sample lie?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely

from geomoe.checking.places import Finding
from geomoe.earth.nearest import nearest_km
from geomoe.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

#: km: outlines are coarse, footprints are large, and ports, lighthouses and wind farms stand in the sea.
BORDER_KM = 25.0
STEP = 0.05  # degrees between the positions of an outline that distances are measured to
MOST = 20  # samples of a split that are listed
#: Columns of an outline file that may hold alpha-3 codes, best first (Natural Earth's, then others').
CODES = ("iso_a3_eh", "iso_a3", "adm0_a3", "alpha-3", "alpha_3", "iso3", "shapegroup")


class Outside(NamedTuple):
    """One sample outside the country of its code: row in the data set, code, degrees, km to the country."""

    row: int
    code: str
    lon: float
    lat: float
    km: float


class Countries(NamedTuple):
    """The country codes of one split.

    Attributes:
        judged: samples of known place whose code has an outline.
        outside: those more than BORDER_KM outside their country.
        median_km: of these; NaN where there are none.
        max_km: the same.
        furthest: the MOST furthest of them.
        not_judged: code without an outline -> samples; "" is no code.
    """

    judged: int
    outside: int
    median_km: float
    max_km: float
    furthest: list[Outside]
    not_judged: dict[str, int]


def read_outlines(path: str | os.PathLike[str]) -> dict[str, shapely.Geometry]:
    """Outlines of countries by ISO 3166-1 alpha-3 code, in degrees; a file of a kind that outlines.py reads.

    Raises:
        DataError: it cannot be read, has no CRS, or no column of such codes.
    """
    from geomoe.reading.vectors import read_shapes

    frame = read_shapes(path)
    columns = {str(column).lower(): column for column in frame.columns}
    code = next((columns[name] for name in CODES if name in columns), None)
    if code is None or frame.crs is None:
        what = "no CRS" if code is not None else f"no column of alpha-3 codes ({', '.join(CODES)})"
        raise DataError(f"{path}: has {what}; Natural Earth's ne_10m_admin_0_countries has what is needed")
    merged = frame[[code, frame.geometry.name]].to_crs(4326).dissolve(by=code)
    return dict(zip(map(str, merged.index), merged.geometry, strict=True))


def has_codes(data: LabelledImages) -> bool:
    """Whether samples have country codes: ``countries``, and their positions in the column ``country``."""
    return bool(data.countries) and "country" in data.extra


def km_outside(data: LabelledImages, outlines: Mapping[str, shapely.Geometry]) -> NDArray[np.float64]:
    """(N,) km from each sample to the country of its code; 0 inside, NaN where it cannot be judged.

    Args:
        data: has codes; -1 is no code.
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
    """(N,) great-circle km from places to an outline in degrees; 0 inside.

    Measured to positions along the outline that are at most STEP apart: too long by up to 3 km beside the
    border, by no more than 0.2 km from 20 km on.
    """
    km = np.zeros(len(lonlat))
    outside = ~_inside(outline, lonlat)
    if outside.any():
        border = shapely.get_coordinates(shapely.segmentize(outline, STEP))
        km[outside] = nearest_km(lonlat[outside], border)
    return km


def _inside(outline: shapely.Geometry, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether a place is in a polygon of the outline, or on its edge."""
    west, _, east, _ = outline.bounds
    turns = (0,) if west >= -180 and east <= 180 else (-360, 0, 360)  # drawn on beyond the antimeridian
    inside = np.zeros(len(lonlat), dtype=bool)
    for turn in turns:
        # Polygons one by one: where two overlap by a sliver, a place in both is in neither of their sum.
        tree = shapely.STRtree(shapely.points(lonlat[:, 0] + turn, lonlat[:, 1]))
        inside[tree.query(shapely.get_parts(outline), predicate="intersects")[1]] = True
    return inside


def summarise(data: LabelledImages, km: NDArray[np.float64]) -> Countries:
    """The numbers of one split, from :func:`km_outside`."""
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
    """A warning for a split with samples outside their country."""
    if found.outside:
        row, code, lon, lat, km = found.furthest[0]
        text = f"{found.outside} samples lie more than {BORDER_KM:g} km outside the country of their code; "
        place = f"row {row} says {code} and is at lon {lon:.3f}, lat {lat:.3f}, {km:,.0f} km away"
        yield Finding("warning", name, text + place)
