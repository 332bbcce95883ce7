"""The routing table as GeoParquet: one row for each cell, with its centre as a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas
import numpy as np
import pandas as pd

from geomoe.earth.land import earth_on

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.mapping.table import RoutingTable


def column_name(block: str) -> str:
    """The prefix of column names for a block: "block 8" becomes "block_8"."""
    return block.replace(" ", "_")


def write_vector(table: RoutingTable, path: Path) -> None:
    """Write cells in row-major order, EPSG:4326, longitudes from -180 to 180.

    Columns: ``region`` and ``landcover`` at the centre (categories); if training places are known,
    ``nearest_train_km`` and ``support`` (whether the cell is counted); then for each block
    ``BLOCK_dominant`` (uint8), ``BLOCK_entropy`` (0 to 1) and ``BLOCK_expert_K`` (gate weight).
    """
    earth = earth_on(table.grid)
    columns: dict[str, object] = {
        "region": _named(earth.region, earth.regions),
        "landcover": _named(earth.landcover, earth.covers),
    }
    if table.support is not None:
        columns["nearest_train_km"] = table.support.km.ravel()
        columns["support"] = table.support.counted.ravel()
    for number, block in enumerate(table.blocks):
        name = column_name(block)
        columns[f"{name}_dominant"] = table.dominant(number).ravel()
        columns[f"{name}_entropy"] = table.entropy(number).ravel()
        for expert in range(table.num_experts):
            columns[f"{name}_expert_{expert}"] = np.ascontiguousarray(table.weights[number, :, expert])
    places = table.grid.lonlat()
    points = geopandas.points_from_xy(places[:, 0], places[:, 1], crs="EPSG:4326")
    geopandas.GeoDataFrame(columns, geometry=points).to_parquet(path, index=False)


def _named(numbers: NDArray[np.uint8], names: tuple[str, ...]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(numbers.ravel().astype(np.int64), pd.Index(names))
