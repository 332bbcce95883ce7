"""Read tables of points, keep every row and column, and add location embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import torch

from geomoe.coords import Places, check_lonlat
from geomoe.encoders import create_encoder
from geomoe.errors import DataError, InputError
from geomoe.inference.options import EncodeOptions
from geomoe.inference.predictor import load
from geomoe.reading.delimited import with_points
from geomoe.reading.points import has_points, in_degrees, lonlat_of_geometry
from geomoe.reading.sheets import SUFFIXES as INPUTS
from geomoe.reading.sheets import named, numbers_of, read_whole
from geomoe.support.cells import safe_cell
from geomoe.support.columns import proposed
from geomoe.support.files import check_folder, no_empty_folders, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.reading.sheets import Sheet

_CHUNK = 65536  # rows encoded at once


SUFFIXES = (".csv", ".parquet")


class Encoded(NamedTuple):
    """The written file, its rows, the number of unknown places, and the width of an embedding."""

    output: Path
    rows: int
    unknown_places: int
    dimensions: int


def encode_points(points: Path, output: Path, options: EncodeOptions) -> Encoded:
    """Add the location embedding of every point of a file as new columns; rows keep their order.

    Args:
        points: .csv, .tsv, .parquet, .gpkg, .shp or .geojson; see :func:`read_points`.
        output: .csv or .parquet; the latter with points as geometry.
        options: the encoder and the columns of the places.

    Raises:
        InputError: an unsupported format, an output equal to the input, or a checkpoint without an encoder.
        DataError: the points cannot be read, or already have columns with these names.
        CoordinateError: a row with exactly one coordinate, or an infinite one, or one off the Earth.
        OutputError: the file cannot be written.
    """
    for path, ends in ((points, INPUTS), (output, SUFFIXES)):
        if path.suffix not in ends:
            raise InputError(f"{path}: expected a file that ends in {' or '.join(ends)}")
    if output.resolve() == points.resolve():
        raise InputError(f"{output}: would overwrite the points; give another --output")
    check_folder(output.parent)
    table = read_points(points, options.lon, options.lat)
    embedding = embed(table.places, encoder_of(options))
    with no_empty_folders(output.parent):
        write_points(table, embedding, output, safe_csv=options.safe_csv)
    count, width = embedding.shape
    return Encoded(output, count, count - int(table.places.has_location.sum()), width)


def encoder_of(options: EncodeOptions) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from (N, 2) places to (N, width) embeddings.

    Raises:
        InputError: the checkpoint has no location encoder.
        CheckpointError: the checkpoint or weights cannot be used.
    """
    if options.checkpoint is not None:
        predictor = load(options.checkpoint, "cpu")
        if predictor.encoder is None:
            said = f"{predictor.config.algorithm} has no location encoder"
            raise InputError(f"{options.checkpoint}: {said}")
        return predictor.encoder
    encoder = create_encoder(
        str(options.encoder),
        weights=options.weights,
        legendre_polys=10 if options.legendre_polys is None else options.legendre_polys,
        finest_km=options.finest_km,
        capsules=options.capsules or (0,),
    )
    return encoder.eval().features


class PointTable(NamedTuple):
    """The rows of a file.

    Attributes:
        frame: every column unchanged (CSV: the exact text).
        places: checked coordinates of the same rows.
        of_geometry: whether the geometry of the frame has these places.
    """

    frame: pd.DataFrame
    places: Places
    of_geometry: bool = False


def read_points(path: Path, lon: str | None = None, lat: str | None = None) -> PointTable:
    """Read points in their order.

    Args:
        path: a table (see :data:`INPUTS`) with two columns of degrees, or with points in any CRS.
        lon: name of the column of longitudes; None: ``lon`` or a synonym, if there are no points.
        lat: name of the column of latitudes; likewise.

    Raises:
        DataError: the file is missing, empty or unreadable, has no such columns or several, or has text that
            is no number or geometry that is no point.
        CoordinateError: a row with exactly one coordinate, or an infinite one, or one off the Earth.
    """
    sheet = read_whole(path)
    columns = _columns(sheet, path, lon, lat)
    if columns is None:
        lonlat, where = lonlat_of_geometry(sheet.frame, path), str(path)  # type: ignore[arg-type]
    else:
        lonlat = np.stack([_degrees(sheet.frame[name], path) for name in columns], axis=1)
        where = f"{path}, columns {columns[0]}, {columns[1]}"
    return PointTable(sheet.frame, check_lonlat(lonlat, where=where), columns is None)


def _columns(sheet: Sheet, path: Path, lon: str | None, lat: str | None) -> tuple[str, str] | None:
    """Return the columns of the places; None: the geometry has them."""
    asked = lon is not None or lat is not None
    found = (
        [
            (named(sheet, what, path) if given is None else given) or what
            for what, given in (("lon", lon), ("lat", lat))
        ]
        if asked or not has_points(sheet.frame)
        else []
    )
    if not found:
        return None
    absent = [name for name in found if name not in sheet.names]
    if absent:
        if not asked and isinstance(sheet.frame, geopandas.GeoDataFrame):
            return None  # if its geometry is not points, reading it raises the error
        columns = ", ".join(sheet.names)
        near = " ".join(f"--{part} {name}" for part, name in proposed(absent, sheet.names).items())
        advice = f"perhaps {near}" if near and not asked else "name them with --lon and --lat"
        msg = f"{path}: no column {' or '.join(absent)} (columns: {columns}); {advice}"
        raise DataError(msg)
    if found[0] == found[1]:
        raise DataError(f"{path}: column {found[0]} cannot be both the longitude and the latitude")
    twice = [name for name in found if name in sheet.repeated]
    if twice:
        raise DataError(f"{path}: has several columns {twice[0]}; keep one")
    return found[0], found[1]


def _degrees(column: pd.Series, path: Path) -> NDArray[np.float64]:
    numbers, wrong = numbers_of(with_points(column, path))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        text = str(column.iloc[row]).strip()
        msg = f"{path}: column {column.name}: row {row} is not a number of degrees: {text!r}"
        raise DataError(msg)
    return numbers


def embed(places: Places, encoder: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float32]:
    """Encode places in chunks, (N, width) float32."""
    lonlat = torch.from_numpy(places.lonlat)
    with torch.inference_mode():
        # an empty file still needs the embedding width
        parts = [encoder(chunk).float().numpy() for chunk in lonlat.split(_CHUNK)]
    return np.concatenate(parts)


def write_points(
    table: PointTable, embedding: NDArray[np.float32], path: Path, *, safe_csv: bool = False
) -> None:
    """Write every row with its embedding, atomically.

    Args:
        table: the points.
        embedding: (N, width).
        path: the file.
        safe_csv: whether cells and names of columns of a CSV that look like formulas are quoted.

    Raises:
        DataError: the file already has columns with these names.
        OutputError: the file cannot be written.
    """
    names = [f"embedding_{number}" for number in range(embedding.shape[1])]
    taken = [name for name in ("has_location", *names) if name in table.frame.columns]
    if taken:
        msg = f"{path}: needs a column {taken[0]}, which the points have already; rename it there first"
        raise DataError(msg)
    frame = _in_degrees(table)
    new = pd.DataFrame(embedding, columns=names, index=frame.index)
    new.insert(0, "has_location", table.places.has_location)
    frame = pd.concat([frame, new], axis=1)
    with whole_file(path) as scratch:
        if path.suffix == ".csv":
            shown = frame.map(safe_cell).rename(columns=safe_cell) if safe_csv else frame
            shown.to_csv(scratch, index=False, float_format="%.9g")
        else:
            _with_geometry(frame, table).to_parquet(scratch, index=False)


def _in_degrees(table: PointTable) -> Any:  # noqa: ANN401 - either kind of frame
    """Return the frame with every geometry in EPSG:4326; one without a CRS is taken for degrees."""
    if not isinstance(table.frame, geopandas.GeoDataFrame):
        return table.frame
    frame = table.frame.copy()
    for name in frame.columns[frame.dtypes == "geometry"]:
        shapes = geopandas.GeoSeries(frame[name])
        if shapes.crs is None or shapes.crs.equals("EPSG:4326", ignore_axis_order=True):
            frame[name] = shapes.set_crs("EPSG:4326", allow_override=True)
        else:
            frame[name] = in_degrees(shapes, f"geometry in column {name}")
    return frame


def _with_geometry(frame: Any, table: PointTable) -> geopandas.GeoDataFrame:  # noqa: ANN401 - either kind of frame
    """Return the frame with the encoded places as its geometry; another geometry stays as a column."""
    if table.of_geometry:
        return frame
    points = geopandas.points_from_xy(*table.places.lonlat.T, crs="EPSG:4326")
    points[~table.places.has_location] = None
    name = next(name for name in ("geometry", "points", "encoded_points") if name not in frame.columns)
    return geopandas.GeoDataFrame(pd.DataFrame(frame)).set_geometry(
        geopandas.GeoSeries(points, index=frame.index, name=name)
    )
