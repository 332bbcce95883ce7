"""Compare places with a map of the Earth: swapped coordinates, and regions at the wrong place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.coords import make_grid
from geomoe.earth.land import SEA, earth_on
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

REACH = 1.5  # degrees: a place matches a region within this distance (islands, coasts)
SWAP = 0.25  # lon and lat count as swapped if swapping raises the share on land by more than this


class Finding(NamedTuple):
    """A ``fault`` makes results wrong, a ``warning`` may be intended, a ``note`` is information."""

    severity: str
    where: str
    what: str


class Odd(NamedTuple):
    """Samples of one split with a suspicious place, for a map; arrays of length n.

    Attributes:
        split: name of the split.
        why: ``near`` (to a sample of the first split) or ``country`` (outside the country of their code).
        position: (n,) positions in the split.
        lonlat: (n, 2) degrees.
        km: (n,) distance to that sample, or to that country.
    """

    split: str
    why: str
    position: NDArray[np.int64]
    lonlat: NDArray[np.float64]
    km: NDArray[np.float64]


def look_at_places(name: str, data: LabelledImages) -> Iterator[Finding]:
    """Yield findings on the places of one split."""
    known = ~np.isnan(data.lonlat[:, 0])
    lonlat = data.lonlat[known]
    zero = int((lonlat == 0).all(axis=1).sum())
    if zero:
        where = "a place is" if zero == 1 else f"{zero} places are"
        yield Finding("warning", name, f"{where} exactly 0, 0; leave the cells of an unknown place empty")
    swapped = lonlat[:, ::-1][np.abs(lonlat[:, 0]) <= 90]
    if len(swapped) > 20 and len(swapped) == len(lonlat):
        here, there = (_region_at(places) != SEA for places in (lonlat, swapped))
        if there.mean() > here.mean() + SWAP:
            shares = f"{100 * here.mean():.0f} % on land, exchanged {100 * there.mean():.0f} %"
            yield Finding("warning", name, f"lon and lat look exchanged: {shares}")
    yield from _regions(name, data, known)


def _regions(name: str, data: LabelledImages, known: NDArray[np.bool_]) -> Iterator[Finding]:
    """Compare domains named like regions of the Earth with the land on which their samples lie."""
    earth = earth_on(make_grid(0.5))
    wrong: list[int] = []
    for domain, region in enumerate(data.regions):
        if region not in earth.regions:
            continue
        own = np.flatnonzero(known & (data.domains == domain))
        # ignore samples at sea: the grid lacks islands smaller than half a degree
        elsewhere = ~np.isin(_region_at(data.lonlat[own]), (SEA, earth.regions.index(region)))
        far = elsewhere & ~_near_region(data.lonlat[own], earth.regions.index(region), earth.region)
        wrong += own[far].tolist()
    if wrong:
        i = min(wrong)
        lon, lat = data.lonlat[i]
        lie, whose = (
            counted(len(wrong), "sample is", "samples are"),
            "it names" if len(wrong) == 1 else "they name",
        )
        text = f"{lie} on land more than {REACH} degrees from the region that {whose}; row "
        place = f"{data.rows[i]} says {data.regions[data.domains[i]]} and is at lon {lon:.3f}, lat {lat:.3f}"
        yield Finding("warning", name, text + place)


def _cells(
    lonlat: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    height, width = shape
    row = np.floor((90 - lonlat[:, 1]) / 180 * height).clip(0, height - 1)
    column = np.floor((lonlat[:, 0] + 180) / 360 * width).clip(0, width - 1)
    return row.astype(np.int64), column.astype(np.int64)


def _region_at(lonlat: NDArray[np.float64]) -> NDArray[np.uint8]:
    region = earth_on(make_grid(0.5)).region
    return region[_cells(lonlat, region.shape)]


def _near_region(lonlat: NDArray[np.float64], number: int, region: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether a cell of the region is within REACH, in a window wide enough for any latitude."""
    row, column = _cells(lonlat, region.shape)
    steps = round(REACH * 2)  # cells of half a degree
    cosine = np.cos(np.radians(np.abs(lonlat[:, 1]).clip(max=85)))
    found = np.zeros(len(lonlat), dtype=bool)
    for down in range(-steps, steps + 1):
        for across in range(-steps, steps + 1):
            there = column + np.rint(across / cosine).astype(np.int64)
            at = (row + down).clip(0, region.shape[0] - 1), there % region.shape[1]
            found |= region[at] == number
    return found
