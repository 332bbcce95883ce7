"""Make the outlines of countries with which ``geomoe data check`` compares country codes.

    python -m tools.make_countries --atlas world-atlas-2.0.2.tgz --codes i18n-iso-countries-7.14.0.tgz

--atlas: the npm package world-atlas (``npm pack world-atlas@2.0.2``), Natural Earth 4.1 as TopoJSON, of which
    the
10m countries are used, because the 50m ones lack small islands. --codes: the npm package i18n-iso-countries
(``npm pack i18n-iso-countries@7.14.0``), which has alpha-2, alpha-3 and numeric code of every country. The
same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from tools import earth
from tools.assets import write_arrays
from tools.country_codes import ALIASES, DISPUTED, PARTS, TERRITORIES, UNNUMBERED, Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1] / "geomoe"
CELL = 0.01  # degrees: positions are whole numbers of these
COARSE = 0.02  # degrees by which a line may be moved to simplify it


class Outlines(NamedTuple):
    """Polygons, and the codes that are used for them.

    Attributes:
        polygons: polygons of all countries, each once.
        members: alpha-3 code -> numbers of its polygons.
    """

    polygons: list[Polygon]
    members: dict[str, set[int]]


def main() -> None:
    """Read the two packages, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--atlas", type=Path, required=True, help="world-atlas-2.0.2.tgz, or its folder")
    parser.add_argument(
        "--codes", type=Path, required=True, help="i18n-iso-countries-7.14.0.tgz, or its folder"
    )
    parser.add_argument("--package", type=Path, default=ROOT, help="the geomoe package to write into")
    args = parser.parse_args()
    codes = earth.read_package(args.codes, "codes.json")  # alpha-2, alpha-3, numeric, ...
    polygons = earth.country_polygons(earth.read_atlas(args.atlas, "10m"))
    outlines = gather(polygons, {numeric: alpha3 for _, alpha3, numeric, *_ in codes})
    names = {alpha2: alpha3 for alpha2, alpha3, *_ in codes} | ALIASES
    write_arrays(args.package / "earth" / "assets" / "countries.npz", to_arrays(outlines, names))


def gather(polygons: Iterable[tuple[str | None, str, Polygon]], alpha3: dict[str, str]) -> Outlines:
    """Coarse outlines, each with every code that is used for it.

    Args:
        polygons: numeric code or None, name, shape.
        alpha3: numeric code -> alpha-3 code.

    Raises:
        KeyError: a country that neither ``alpha3`` nor UNNUMBERED has.
    """
    found = Outlines([], {})
    for number, name, polygon in polygons:
        _add(found, coarse(polygon), UNNUMBERED[name] if number is None else (alpha3[number],))
    _share(found, PARTS)
    _share(found, DISPUTED)
    for sovereign, territories in TERRITORIES.items():
        found.members[sovereign].update(*(found.members[territory] for territory in territories.split()))
    return found


def coarse(polygon: Polygon) -> list[Polygon]:
    """Simplify a polygon to the grid of CELL; an island that would vanish becomes the box around it."""
    pieces = _polygons(shapely.set_precision(polygon.simplify(COARSE), CELL))
    if pieces:
        return pieces
    west, south, east, north = np.array(polygon.bounds) / CELL
    low, high = np.floor([west, south]) * CELL, np.ceil([east, north]) * CELL
    return [box(*low, *high)]


def _share(found: Outlines, parts: Iterable[Part]) -> None:
    """Give each code the polygons of the other country that lie in the part's box, cut where it cuts them."""
    drawn = {code: sorted(numbers) for code, numbers in found.members.items()}
    for part in parts:
        frame = box(part.west, part.south, part.east, part.north)
        for number in drawn[part.of]:
            polygon = found.polygons[number]
            if frame.covers(polygon):
                found.members.setdefault(part.code, set()).add(number)
            elif frame.intersects(polygon):
                inside = shapely.intersection(polygon, frame, grid_size=CELL)
                _add(found, _polygons(inside), (part.code,))


def _add(found: Outlines, polygons: list[Polygon], codes: Iterable[str]) -> None:
    numbers = range(len(found.polygons), len(found.polygons) + len(polygons))
    found.polygons.extend(polygons)
    for code in codes:
        found.members.setdefault(code, set()).update(numbers)


def _polygons(shape: Polygon) -> list[Polygon]:
    return [piece for piece in getattr(shape, "geoms", [shape]) if piece.area > 0]


def to_arrays(outlines: Outlines, aliases: dict[str, str]) -> dict[str, NDArray]:
    """The arrays that :func:`geomoe.earth.countries.country_outlines` reads.

    Args:
        outlines: outlines of all countries.
        aliases: further code -> alpha-3 code.
    """
    kind, lonlat, (rings, polygons) = shapely.to_ragged_array(np.array(outlines.polygons, dtype=object))
    if kind != shapely.GeometryType.POLYGON:
        msg = f"expected polygons; got {kind}"
        raise TypeError(msg)
    codes = sorted(outlines.members)
    numbers = {code: number for number, code in enumerate(codes)}
    more = {alias: code for alias, code in sorted(aliases.items()) if alias not in numbers}
    members = [sorted(outlines.members[code]) for code in codes]
    return {
        "steps": np.diff(np.rint(lonlat / CELL).astype(np.int32), axis=0, prepend=0),
        "rings": np.diff(rings).astype(np.int32),
        "polygons": np.diff(polygons).astype(np.int32),
        "codes": np.array([*codes, *more]),
        "outline": np.array([*range(len(codes)), *(numbers[code] for code in more.values())], dtype=np.int32),
        "members": np.concatenate(members).astype(np.int32),
        "counts": np.array([len(numbers) for numbers in members], dtype=np.int32),
    }


if __name__ == "__main__":
    main()
