"""The routing table as a Cloud-Optimised GeoTIFF: one band for each expert of each MoGE block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from geomoe.support.legends import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from geomoe.mapping.table import RoutingTable


DISTANCE = "nearest training place, km"


def band_names(table: RoutingTable) -> list[str]:
    """Names of the bands in order, e.g. "block 8, expert 2"; bands count from 1, experts from 0."""
    return [f"{block}, expert {expert}" for block in table.blocks for expert in range(table.num_experts)]


def dominant_bands(table: RoutingTable) -> dict[int, list[Entry]]:
    """Number of the band of each block's dominant expert -> name and colour of each expert."""
    experts = [
        Entry(expert, name, colour)
        for expert, (name, colour) in enumerate(
            zip(expert_names(table.num_experts), table.shades, strict=True)
        )
    ]
    first = table.num_blocks * table.num_experts + 1
    return {first + block: experts for block in range(table.num_blocks)}


def expert_names(count: int) -> list[str]:
    """Names of experts in legends and files of colours: ``expert 0``, ..."""
    return [f"expert {expert}" for expert in range(count)]


def write_raster(table: RoutingTable, path: Path) -> None:
    """Write gate weights as float32 bands in EPSG:4326, north up, NaN where there is no value.

    After the weights there is a band for each block with the number of the dominant expert. Overviews use the
    value of one cell, because a mean of experts' numbers has no meaning. :func:`dominant_bands` names these
    bands.

    The facts of the table become tags of the file. A map across the antimeridian is one raster whose
    longitudes continue beyond 180. Where training places are known, the last band is the distance to the
    nearest of them in km.
    """
    west, _, _, north = table.grid.bounds
    height, width = table.grid.shape
    profile = {
        "driver": "COG",
        "width": width,
        "height": height,
        "count": table.num_blocks * (table.num_experts + 1) + (table.support is not None),
        "dtype": "float32",
        "crs": "EPSG:4326",
        "transform": from_origin(west, north, table.grid.step, table.grid.step),
        "nodata": np.nan,
        "compress": "deflate",
        "predictor": "yes",
        "overview_resampling": "nearest",
    }
    with MemoryFile() as memory:  # GDAL does not reliably report a full disk; Python does
        with memory.open(**profile) as file:
            file.update_tags(title=table.title, **dict(table.facts))
            for number, name in enumerate(band_names(table)):
                file.write(table.image(*divmod(number, table.num_experts)), number + 1)
                file.set_band_description(number + 1, name)
            for block, band in enumerate(dominant_bands(table)):
                file.write(table.dominant(block).astype(np.float32), band)
                file.set_band_description(band, f"{table.blocks[block]}, dominant expert")
            if table.support is not None:
                file.write(table.support.km, profile["count"])
                file.set_band_description(profile["count"], DISTANCE)
        path.write_bytes(memory.getbuffer())
