"""Make the coasts and borders that maps of a part of the Earth show.

    python -m tools.make_borders --atlas world-atlas-2.0.2.tgz

--atlas: the npm package world-atlas (``npm pack world-atlas@2.0.2``), Natural Earth 4.1 (public domain) as
TopoJSON, of which the 10m countries are used. Each line between two countries exists once, so that a
simplified border remains one line and leaves no gap. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import LineString

from tools import earth
from tools.assets import write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1] / "geomoe"
CELL = 0.005  # degrees: positions are whole numbers of these
COARSE = 0.008  # degrees by which a line may be moved to simplify it


def main() -> None:
    """Read the atlas, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--atlas", type=Path, required=True, help="world-atlas-2.0.2.tgz, or its folder")
    parser.add_argument("--package", type=Path, default=ROOT, help="the geomoe package to write into")
    args = parser.parse_args()
    topology = simplified(earth.read_atlas(args.atlas, "10m"))
    write_arrays(
        args.package / "earth" / "assets" / "borders.npz", to_arrays(land(topology), borders(topology))
    )


def simplified(topology: dict[str, Any]) -> dict[str, Any]:
    """The same topology with fewer positions in each arc; the ends are not moved, so that arcs still meet.

    Arcs are delta-coded in integers of :data:`CELL`, and not in those of the atlas.
    """
    scale, shift = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    arcs = []
    for arc in topology["arcs"]:
        line = np.cumsum(np.array(arc), axis=0) * scale + shift
        fewer = shapely.get_coordinates(LineString(line).simplify(COARSE)) if len(line) > 2 else line
        arcs.append(np.diff(np.rint(fewer / CELL).astype(np.int64), axis=0, prepend=0).tolist())
    return {**topology, "arcs": arcs, "transform": {"scale": [CELL, CELL], "translate": [0.0, 0.0]}}


def land(topology: dict[str, Any]) -> list[shapely.Polygon]:
    """The land of all countries, dissolved; islands that are smaller than a cell are left out."""
    polygons = [shapely.make_valid(polygon) for _, _, polygon in earth.country_polygons(topology)]
    whole = shapely.union_all(polygons, grid_size=CELL)
    return sorted(
        (piece for piece in shapely.get_parts(whole) if piece.geom_type == "Polygon"),
        key=lambda one: one.bounds,
    )


def borders(topology: dict[str, Any]) -> list[NDArray[np.float64]]:
    """The arcs that two countries share, as (N, 2) degrees each."""
    owners: Counter[int] = Counter()
    for country in topology["objects"]["countries"]["geometries"]:
        parts = [country["arcs"]] if country["type"] == "Polygon" else country["arcs"]
        owners.update({arc if arc >= 0 else ~arc for rings in parts for ring in rings for arc in ring})
    shared = sorted(arc for arc, count in owners.items() if count > 1)
    lines = [np.cumsum(np.array(topology["arcs"][arc]), axis=0) * CELL for arc in shared]
    return [line for line in lines if np.ptp(line, axis=0).any()]


def to_arrays(polygons: list[shapely.Polygon], lines: list[NDArray[np.float64]]) -> dict[str, NDArray]:
    """The arrays that :mod:`geomoe.earth.borders` reads."""
    _, lonlat, (rings, ends) = shapely.to_ragged_array(np.array(polygons, dtype=object))
    return {
        "land": _steps(lonlat),
        "rings": np.diff(rings).astype(np.int32),
        "polygons": np.diff(ends).astype(np.int32),
        "borders": _steps(np.concatenate(lines)),
        "lines": np.array([len(line) for line in lines], dtype=np.int32),
    }


def _steps(lonlat: NDArray[np.float64]) -> NDArray[np.int32]:
    """Positions as steps of whole cells from one to the next."""
    return np.diff(np.rint(lonlat / CELL).astype(np.int32), axis=0, prepend=0)


if __name__ == "__main__":
    main()
