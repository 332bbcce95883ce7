"""Rasters of the whole Earth for the index: regions from Natural Earth, land cover from MODIS."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.features import rasterize
from rasterio.transform import from_origin
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping
from shapely.ops import unary_union
from shapely.validation import make_valid

from geomoe.datasets.bluemarble.index import CLASSES, IGBP_CODES, REGIONS
from tools.iso_regions import region_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

REGION_NAMES = ("Sea", *REGIONS, "Antarctica")  # position = id in the rasters
LANDCOVER_NAMES = ("Water", *CLASSES, "Other land")  # other: deciduous needleleaf forest, urban
CELLS_PER_DEGREE = 20  # MCD12C1: 0.05 degrees
ISLET = 0.001  # degrees: a hundred metres


def read_atlas(path: Path, scale: str) -> dict[str, Any]:
    """TopoJSON of the countries at 10m, 50m or 110m from the npm package world-atlas."""
    return read_package(path, f"countries-{scale}.json")


def read_package(path: Path, name: str) -> Any:  # noqa: ANN401 - JSON
    """A JSON file of an npm package, given as .tgz or as a folder."""
    if path.is_dir():
        return json.loads((path / name).read_text(encoding="utf-8"))
    with tarfile.open(path) as archive:
        member = archive.extractfile(f"package/{name}")
        if member is None:
            msg = f"{path}: no {name} inside"
            raise FileNotFoundError(msg)
        return json.load(member)


def region_polygons(topology: dict[str, Any]) -> list[tuple[Polygon, str]]:
    """Every polygon of every country with its region."""
    return [
        (polygon, region_of(number, name, *polygon.bounds))
        for number, name, polygon in country_polygons(topology)
    ]


def country_polygons(topology: dict[str, Any]) -> Iterator[tuple[str | None, str, Polygon]]:
    """ISO 3166-1 numeric code (None: Natural Earth has none), name and shape of every polygon."""
    arcs = _decode_arcs(topology)
    for country in topology["objects"]["countries"]["geometries"]:
        parts = [country["arcs"]] if country["type"] == "Polygon" else country["arcs"]
        for rings in parts:
            for polygon in _cut(_polygon([_ring(arcs, ring) for ring in rings])):
                yield country.get("id"), country["properties"]["name"], polygon


def _polygon(rings: list[NDArray[np.float64]]) -> Polygon:
    shell, *holes = rings
    if len(shell) < 4:  # an islet that the atlas' own rounding has made a line: the box around it
        west, south, east, north = *shell.min(axis=0), *shell.max(axis=0)
        return box(west - ISLET, south - ISLET, east + ISLET, north + ISLET)
    return Polygon(_unwrap(shell), [_unwrap(hole) for hole in holes if len(hole) > 3])


def _unwrap(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    # The atlas joins polygons across the antimeridian: follow the ring past 180 degrees; a ring
    # that comes back a whole turn away (Antarctica) closes through the South Pole.
    lon = np.unwrap(ring[:, 0], period=360)
    ring = np.stack([lon, ring[:, 1]], axis=1)
    if abs(lon[-1] - lon[0]) > 180:
        ring = np.concatenate([ring, [[lon[-1], -90.0], [lon[0], -90.0]]])
    return ring


def _cut(polygon: Polygon) -> list[Polygon]:
    # Cut an unwrapped polygon at the antimeridian, back into [-180, 180].
    pieces = []
    for turn in (-360, 0, 360):
        part = make_valid(polygon).intersection(box(turn - 180, -90, turn + 180, 90))
        pieces += [translate(piece, -turn) for piece in getattr(part, "geoms", [part]) if piece.area > 0]
    return pieces


def _decode_arcs(topology: dict[str, Any]) -> list[NDArray[np.float64]]:
    # TopoJSON: positions are integers, delta-coded along each arc, then scaled and shifted.
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
    return [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in topology["arcs"]]


def _ring(arcs: list[NDArray[np.float64]], ids: list[int]) -> NDArray[np.float64]:
    # A negative id ~i is arc i backwards; each arc starts where the one before it ended.
    pieces = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ids]
    return np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])


def rasterize_regions(polygons: list[tuple[Polygon, str]], per_degree: int) -> NDArray[np.uint8]:
    """Region id of each cell centre, (180 * per_degree, 360 * per_degree); 0 is sea."""
    return rasterize(
        [(polygon, REGION_NAMES.index(region)) for polygon, region in polygons],
        out_shape=(180 * per_degree, 360 * per_degree),
        transform=from_origin(-180, 90, 1 / per_degree, 1 / per_degree),
        dtype="uint8",
    )


def read_landcover(path: Path) -> NDArray[np.uint8]:
    """Merged land-cover id of each 0.05-degree cell, (3600, 7200): positions in LANDCOVER_NAMES."""
    with rasterio.open(path) as source:
        igbp = source.read(1)
    if igbp.shape != (180 * CELLS_PER_DEGREE, 360 * CELLS_PER_DEGREE):
        msg = f"{path}: expected 3600 x 7200 cells of 0.05 degrees; got {igbp.shape}"
        raise ValueError(msg)
    table = np.full(256, LANDCOVER_NAMES.index("Other land"), dtype=np.uint8)
    table[0] = table[255] = 0  # water, no data
    for position, codes in enumerate(IGBP_CODES):
        table[list(codes)] = position + 1
    return table[igbp]


def majority(ids: NDArray[np.uint8], factor: int, num_ids: int) -> NDArray[np.uint8]:
    """Most frequent id above 0 in each factor x factor square; 0 where more than half of it is 0."""
    rows, columns = ids.shape[0] // factor, ids.shape[1] // factor
    squares = ids.reshape(rows, factor, columns, factor)
    counts = np.stack([(squares == i).sum(axis=(1, 3)) for i in range(num_ids)])
    best = counts[1:].argmax(axis=0) + 1
    return np.where(counts[0] * 2 > factor * factor, 0, best).astype(np.uint8)


def outline(polygons: list[tuple[Polygon, str]]) -> dict[str, Any]:
    """GeoJSON with one feature for each region: its land, countries dissolved, 2 decimals."""
    features = []
    for region in REGION_NAMES[1:]:
        land = unary_union([polygon for polygon, name in polygons if name == region])
        geometry = mapping(land)
        features.append(
            {
                "type": "Feature",
                "properties": {"region": region},
                "geometry": {"type": geometry["type"], "coordinates": _rounded(geometry["coordinates"])},
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _rounded(coordinates: Any) -> Any:  # noqa: ANN401 - nested lists of any depth
    if isinstance(coordinates[0], (int, float)):
        return [round(float(value), 2) for value in coordinates]
    return [_rounded(part) for part in coordinates]
