"""Write predictions as a table: CSV, GeoParquet or GeoJSON, one row for each image or tile."""

from __future__ import annotations

import csv
import json
import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.earth.nearest import NearestPlace
from geomoe.inference.journal import GO_ON
from geomoe.support.cells import safe_cell
from geomoe.support.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from geomoe.inference.journal import Journal
    from geomoe.inference.predictor import Predictor
    from geomoe.inference.tiles import Item

log = logging.getLogger(__name__)


class Layout:
    """The columns of the table, and how a journal record fills them.

    Args:
        predictor: the predictor that made the predictions.
        probabilities: whether to add a probability column for every class, not only for the best one.
        tiles: whether to add columns for the window of each tile.
    """

    def __init__(self, predictor: Predictor, *, probabilities: bool = False, tiles: bool = False) -> None:
        self.classes, self.tiles = predictor.classes, tiles
        self.places = training_places(predictor.info)
        self.experts = [
            f"block_{block}_expert_{expert}"
            for block in predictor.blocks
            for expert in range(predictor.num_experts)
        ]
        self.shares = [f"probability_{name}" for name in self.classes] if probabilities else []
        if not len(self.places):
            log.warning("the checkpoint knows no training places: nearest_train_km stays empty")

    @property
    def columns(self) -> list[str]:
        """Return the column names, in order."""
        window = ["left", "top", "width", "height"] if self.tiles else []
        own = ["lon", "lat", "unknown_place", "class", "probability", "nearest_train_km"]
        return ["filename", *window, *own, *self.experts, *self.shares]

    def rows(self, items: Sequence[Item], journal: Journal) -> Iterator[dict[str, Any]]:
        """Yield one row for each prediction, in item order; None marks a missing value."""
        for record in journal.records():
            if "p" in record:
                yield self.row(items[record["i"]], record)

    def row(self, item: Item, record: dict[str, Any]) -> dict[str, Any]:
        """Return the row of one prediction."""
        best = int(np.argmax(record["p"]))
        at = record["at"]
        lon, lat = at or (None, None)
        window = dict(zip(("left", "top", "width", "height"), item.window or (), strict=False))
        distance = float(self.places.km(np.array([at or (math.nan, math.nan)], dtype=np.float64))[0])
        weights = [weight for block in record["w"] for weight in block]
        return {
            "filename": item.name,
            **(window if self.tiles else {}),
            "lon": lon,
            "lat": lat,
            "unknown_place": at is None,
            "class": self.classes[best],
            "probability": record["p"][best],
            "nearest_train_km": None if math.isnan(distance) else round(distance, 3),
            **dict(zip(self.experts, weights, strict=True)),
            **dict(zip(self.shares, record["p"], strict=False)),
        }


def training_places(info: Mapping[str, Any]) -> NearestPlace:
    """Return the training places in a checkpoint's facts; old checkpoints without ``places`` have none."""
    places = info.get("places") or {"lon": [], "lat": []}
    return NearestPlace(np.stack([places["lon"], places["lat"]], axis=1).astype(np.float64))


def write_answers(
    items: Sequence[Item], journal: Journal, layout: Layout, output: Path, *, safe_csv: bool = False
) -> None:
    """Write the table atomically; CSV and GeoJSON are written row by row.

    Args:
        items: the items.
        journal: their predictions.
        layout: the columns.
        output: the file.
        safe_csv: whether cells of a CSV that look like formulas are quoted.

    Raises:
        OutputError: the file cannot be written.
    """
    writer = {".csv": _write_csv, ".parquet": _write_parquet, ".geojson": _write_geojson}
    with whole_file(output, GO_ON) as scratch:
        rows = layout.rows(items, journal)
        if safe_csv and output.suffix.lower() == ".csv":
            rows = ({name: safe_cell(cell) for name, cell in row.items()} for row in rows)
        writer[output.suffix.lower()](scratch, layout, rows)


def _write_csv(path: Path, layout: Layout, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, layout.columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_geojson(path: Path, layout: Layout, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, row in enumerate(rows):
            lon, lat = row.pop("lon"), row.pop("lat")
            place = None if lon is None else {"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]}
            feature = {"type": "Feature", "geometry": place, "properties": row}
            file.write((",\n" if number else "\n") + json.dumps(feature, ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")


def _write_parquet(path: Path, layout: Layout, rows: Iterator[dict[str, Any]]) -> None:
    import geopandas
    import pandas as pd

    frame = pd.DataFrame(rows, columns=layout.columns)
    for name in ("lon", "lat", "nearest_train_km"):
        frame[name] = frame[name].astype("float64")  # also if every value is missing
    points = geopandas.points_from_xy(frame["lon"], frame["lat"], crs="EPSG:4326")
    points[frame["unknown_place"].to_numpy(dtype=bool)] = None
    geopandas.GeoDataFrame(frame, geometry=points).to_parquet(path, index=False)
