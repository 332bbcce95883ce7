"""A large scene, classified: tiles that overlap are averaged on a grid of cells with the scene's own CRS."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform as to_crs

from geomoe.datasets import raster
from geomoe.errors import InputError
from geomoe.files import whole_file
from geomoe.inference.journal import GO_ON

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.inference.answers import Layout
    from geomoe.inference.inputs import Tiling
    from geomoe.inference.journal import Journal


class Scene(NamedTuple):
    """What is known of a scene without reading it.

    Attributes:
        path: the file.
        width, height: pixels.
        crs: of the scene; None where it has none.
        transform: pixels to coordinates.
    """

    path: Path
    width: int
    height: int
    crs: Any
    transform: Affine


class Averages(NamedTuple):
    """Means over the tiles that cover each cell; (rows, columns) last.

    Attributes:
        shares: (C, ...) class probabilities.
        weights: (M * E, ...) gate weights.
        tiles: how many; 0 where there is no data.
    """

    shares: NDArray[np.float32]
    weights: NDArray[np.float32]
    tiles: NDArray[np.int32]


def open_scene(inputs: Sequence[Path]) -> Scene:
    """The one raster that is to be classified.

    Raises:
        InputError: several inputs, or none that is a raster.
        DataError: it cannot be read.
    """
    if len(inputs) != 1 or inputs[0].suffix.lower() not in raster.SUFFIXES:
        names = ", ".join(map(str, inputs))
        raise InputError(f"{names}: a classified raster (--output .tif) is made of exactly one raster")
    with raster.open_raster(inputs[0]) as source:
        transform, crs = raster.georeference(source)
        return Scene(inputs[0], source.width, source.height, crs, transform)


def average(scene: Scene, tiling: Tiling, journal: Journal, classes: int, experts: int) -> Averages:
    """Add up the answers of a journal on a grid whose cells are one step of the tiles on a side."""
    parts = tiling.size // tiling.step
    columns, rows = tiling.count(scene.width), tiling.count(scene.height)
    height, width = rows + parts - 1, columns + parts - 1
    shares = np.zeros((classes, height, width), dtype=np.float32)
    weights = np.zeros((experts, height, width), dtype=np.float32)
    count, valid = np.zeros((height, width), dtype=np.int32), np.zeros((height, width), dtype=bool)
    for record in journal.records():
        if "p" not in record:
            continue
        row, column = divmod(record["i"], columns)
        cells = (slice(row, row + parts), slice(column, column + parts))
        shares[:, *cells] += np.array(record["p"], dtype=np.float32)[:, None, None]
        gates = np.array([weight for block in record["w"] for weight in block], dtype=np.float32)
        weights[:, *cells] += gates[:, None, None]
        count[cells] += 1
        valid[cells] |= np.array(record["v"], dtype=bool).reshape(parts, parts)
    count[~valid] = 0
    # cells that lie wholly beyond the scene hold no data; those that reach beyond it stay
    inside = (-(-scene.height // tiling.step), -(-scene.width // tiling.step))
    shares, weights = shares[:, : inside[0], : inside[1]], weights[:, : inside[0], : inside[1]]
    count = count[: inside[0], : inside[1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        tiles = count.astype(np.float32)
        return Averages(shares / tiles, weights / tiles, count)


def write_scene(
    scene: Scene, tiling: Tiling, journal: Journal, layout: Layout, output: Path
) -> tuple[Path, ...]:
    """Write the classes, and beside them the numbers behind them.

    ``OUTPUT.tif`` has one band: class ids with colours, names in its tags, and no data where the scene has
    none. ``OUTPUT-scores.tif`` has float32 bands: the probability of that class, the distance to the nearest
    training place in km, and each expert's gate weight.

    Raises:
        OutputError: they cannot be written.
    """
    found = average(scene, tiling, journal, len(layout.classes), len(layout.experts))
    nothing = found.tiles == 0
    large = len(layout.classes) > 255
    dtype, nodata = ("uint16", 65535) if large else ("uint8", 255)
    shares = np.where(nothing, 0, found.shares)
    classes = np.where(nothing, nodata, shares.argmax(axis=0)).astype(dtype)
    best = np.where(nothing, np.nan, shares.max(axis=0))
    distance = layout.places.km(cell_places(scene, tiling.step, classes.shape)).reshape(classes.shape)
    distance[nothing] = np.nan
    names = ["probability", "nearest_train_km", *layout.experts]
    bands = np.concatenate([np.stack([best, distance]), np.where(nothing, np.nan, found.weights)])
    frame = _frame(scene, tiling.step, classes.shape)
    scores = scores_path(output)
    with whole_file(scores, GO_ON) as beside, whole_file(output, GO_ON) as scratch:  # both or neither
        with rasterio.open(beside, "w", count=len(bands), dtype="float32", nodata=np.nan, **frame) as file:
            file.write(bands.astype(np.float32))
            file.descriptions = tuple(names)
        with rasterio.open(scratch, "w", count=1, dtype=dtype, nodata=nodata, **frame) as file:
            file.write(classes, 1)
            file.set_band_description(1, "class")
            file.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(layout.classes)})
            if not large:
                file.write_colormap(1, _colours(len(layout.classes)))
    return output, scores


def scores_path(output: Path) -> Path:
    """Where the numbers behind a classified scene are written."""
    return output.with_name(f"{output.stem}-scores{output.suffix}")


def _frame(scene: Scene, step: int, shape: tuple[int, ...]) -> dict[str, Any]:
    place = {} if scene.transform.is_identity else {"transform": _cell_transform(scene, step)}
    size = {"height": shape[0], "width": shape[1]}
    return {"driver": "GTiff", "compress": "deflate", "crs": scene.crs, **size, **place}


def _cell_transform(scene: Scene, step: int) -> Affine:
    a, b, c, d, e, f = scene.transform[:6]
    return Affine(a * step, b * step, c, d * step, e * step, f)


def cell_places(scene: Scene, step: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(rows * columns, 2) degrees of the middle of each cell, row by row; NaN without a CRS."""
    unknown = np.full((shape[0] * shape[1], 2), np.nan)
    if scene.crs is None or scene.transform.is_identity:
        return unknown
    a, b, c, d, e, f = _cell_transform(scene, step)[:6]
    row, column = np.indices(shape).reshape(2, -1) + 0.5
    lon, lat = to_crs(scene.crs, "EPSG:4326", a * column + b * row + c, d * column + e * row + f)
    places = np.stack([lon, lat], axis=1)
    places[~np.isfinite(places).all(axis=1)] = np.nan
    return places


def _colours(count: int) -> dict[int, tuple[int, int, int, int]]:
    """Colours that neighbouring ids do not share: hues a golden angle apart."""
    colours = {}
    for number in range(count):
        lightness = (0.45, 0.6, 0.35)[number % 3]
        rgb = colorsys.hls_to_rgb(number * 0.381966 % 1, lightness, 0.6)
        red, green, blue = (round(255 * value) for value in rgb)
        colours[number] = (red, green, blue, 255)
    return colours
