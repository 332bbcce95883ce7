"""Classify a large scene: average overlapping tiles on a grid of cells in the CRS of the scene."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window

from geomoe.errors import InputError
from geomoe.inference.journal import GO_ON
from geomoe.reading import raster
from geomoe.reading.location import located, middle_of, places
from geomoe.support.files import whole_file
from geomoe.support.legends import Entry, attribute_tables, qgis_style, style_path, table_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.inference.answers import Layout
    from geomoe.inference.journal import Journal
    from geomoe.inference.tiles import Tiling
    from geomoe.reading.location import Located


class Scene(NamedTuple):
    """Metadata of a scene.

    Attributes:
        path: the file.
        width, height: size in pixels.
        located: its georeference, or why it has none.
    """

    path: Path
    width: int
    height: int
    located: Located


class Averages(NamedTuple):
    """Means over the tiles that cover each cell, for one row of cells.

    Attributes:
        shares: (C, W) class probabilities; NaN where there is no data.
        weights: (M * E, W) gate weights; NaN where there is no data.
        empty: (W,) cells without data.
    """

    shares: NDArray[np.float32]
    weights: NDArray[np.float32]
    empty: NDArray[np.bool_]


def open_scene(inputs: Sequence[Path], vrt_root: Path | None = None) -> Scene:
    """Open the single raster to classify.

    Args:
        inputs: the given inputs.
        vrt_root: folder that must contain all sources of a VRT; None: VRTs are refused.

    Raises:
        InputError: there are several inputs, or no raster.
        DataError: the raster cannot be read.
    """
    if len(inputs) != 1 or inputs[0].suffix.lower() not in raster.SUFFIXES:
        names = ", ".join(map(str, inputs))
        raise InputError(f"{names}: a classified raster (--output .tif) is made of exactly one raster")
    with raster.open_raster(inputs[0], vrt_root) as source:
        raster.refuse_unusable(source, inputs[0])
        return Scene(inputs[0], source.width, source.height, located(source))


def average(scene: Scene, tiling: Tiling, journal: Journal, classes: int, experts: int) -> Iterator[Averages]:
    """Yield rows of cells from north to south; the side of a cell is one tile step.

    Memory holds only as many rows as a tile has, so a scene may have any number of rows.
    """
    parts = tiling.size // tiling.step
    columns = tiling.count(scene.width)
    # Cells completely outside the scene have no data; cells partly outside are kept.
    inside = (-(-scene.height // tiling.step), -(-scene.width // tiling.step))
    sums = _Sums(parts, classes, experts, columns + parts - 1)
    row = 0
    for record in journal.in_order():
        if "p" in record:
            while row < record["i"] // columns:
                yield sums.take(row, inside[1])
                row += 1
            row_of_tile, column = divmod(record["i"], columns)
            sums.add(row_of_tile, column, record)
    for last in range(row, inside[0]):
        yield sums.take(last, inside[1])


class _Sums:
    """Sums over tiles for ``parts`` rows of cells, in a ring buffer."""

    def __init__(self, parts: int, classes: int, experts: int, width: int) -> None:
        self.parts = parts
        self.shares = np.zeros((parts, classes, width), dtype=np.float32)
        self.weights = np.zeros((parts, experts, width), dtype=np.float32)
        self.count = np.zeros((parts, width), dtype=np.float32)
        self.valid = np.zeros((parts, width), dtype=bool)

    def add(self, row: int, column: int, record: dict[str, Any]) -> None:
        shares = np.array(record["p"], dtype=np.float32)[:, None]
        gates = np.array([weight for block in record["w"] for weight in block], dtype=np.float32)[:, None]
        cells = slice(column, column + self.parts)
        for k, valid in enumerate(np.array(record["v"], dtype=bool).reshape(self.parts, self.parts)):
            at = (row + k) % self.parts
            self.shares[at, :, cells] += shares
            self.weights[at, :, cells] += gates
            self.count[at, cells] += 1
            self.valid[at, cells] |= valid

    def take(self, row: int, width: int) -> Averages:
        """Return one row, and free its slot."""
        at = row % self.parts
        empty = ~self.valid[at, :width]
        count = np.where(empty, np.float32(np.nan), self.count[at, :width])
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (self.shares[at, :, :width] / count).astype(np.float32)
            weights = (self.weights[at, :, :width] / count).astype(np.float32)
        for sums in (self.shares, self.weights, self.count, self.valid):
            sums[at] = 0
        return Averages(shares, weights, empty)


def write_scene(
    scene: Scene,
    tiling: Tiling,
    journal: Journal,
    layout: Layout,
    output: Path,
    colours: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Write the classes and, to a second file, the scores.

    ``OUTPUT.tif`` has one band: class ids with colours, class names in its tags, and nodata where the scene
    has no data. ``OUTPUT-scores.tif`` has float32 bands: the probability of that class, the distance to the
    nearest training place in km, and the gate weight of each expert. ``OUTPUT.tif.aux.xml`` has the classes
    as a raster attribute table, which GDAL reads, and ``OUTPUT.qml`` as a style of QGIS.

    Args:
        scene: the classified scene.
        tiling: how the scene was cut.
        journal: the predictions for the tiles.
        layout: names of classes and experts, and the training places.
        output: the classified raster.
        colours: ``#rrggbb`` of each class; default: hues that differ.

    Raises:
        OutputError: the files cannot be written.
    """
    large = len(layout.classes) > 255
    dtype, nodata = ("uint16", 65535) if large else ("uint8", 255)
    height, width = (-(-pixels // tiling.step) for pixels in (scene.height, scene.width))
    frame = _frame(scene, tiling.step, (height, width))
    names = ["probability", "nearest_train_km", *layout.experts]
    shades = _colours(len(layout.classes)) if colours is None else colours
    legend = [Entry(*entry) for entry in zip(range(len(shades)), layout.classes, shades, strict=True)]
    scores, table, style = beside(output)
    rows = average(scene, tiling, journal, len(layout.classes), len(layout.experts))
    plain = {"count": 1, "dtype": dtype, "nodata": nodata, **frame}
    several = {"count": len(names), "dtype": "float32", "nodata": np.nan, **frame}
    with (
        whole_file(scores, GO_ON) as behind,
        whole_file(table, GO_ON) as named,
        whole_file(style, GO_ON) as styled,
        whole_file(output, GO_ON) as scratch,  # all or none
        rasterio.open(behind, "w", **several) as numbers,
        rasterio.open(scratch, "w", **plain) as ids,
    ):
        for row, found in enumerate(rows):
            shares = np.where(found.empty, 0, found.shares)
            classes = np.where(found.empty, nodata, shares.argmax(axis=0)).astype(dtype)
            best = np.where(found.empty, np.nan, shares.max(axis=0))
            distance = layout.places.km(cell_places(scene, tiling.step, row, width))
            distance[found.empty] = np.nan
            bands = np.concatenate([np.stack([best, distance]), found.weights]).astype(np.float32)
            here = Window(0, row, width, 1)
            numbers.write(bands[:, None], window=here)
            ids.write(classes[None, None], window=here)
        numbers.descriptions = tuple(names)
        ids.set_band_description(1, "class")
        ids.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(layout.classes)})
        if not large:
            ids.write_colormap(1, {one.value: (*bytes.fromhex(one.colour[1:]), 255) for one in legend})
        named.write_text(attribute_tables({1: legend}), encoding="utf-8")
        styled.write_text(qgis_style(1, legend), encoding="utf-8")
    return output, scores, table, style


def beside(output: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the scores, the attribute table and the style of a classified scene."""
    scores = output.with_name(f"{output.stem}-scores{output.suffix}")
    return scores, table_path(output), style_path(output)


def _frame(scene: Scene, step: int, shape: tuple[int, ...]) -> dict[str, Any]:
    transform = scene.located.transform
    place = {} if transform is None else {"transform": _cell_transform(transform, step)}
    size = {"height": shape[0], "width": shape[1]}
    return {"driver": "GTiff", "compress": "deflate", "crs": scene.located.crs, **size, **place}


def _cell_transform(transform: Affine, step: int) -> Affine:
    a, b, c, d, e, f = transform[:6]
    return Affine(a * step, b * step, c, d * step, e * step, f)


def cell_places(scene: Scene, step: int, row: int, width: int) -> NDArray[np.float64]:
    """Return (width, 2) lonlat degrees of the middle of each cell of a row; NaN where the place is unknown.

    For a cell that reaches beyond the scene, it is the middle of the part inside.
    """
    cells = [(column * step, row * step, step, step) for column in range(width)]
    middle = np.array([middle_of(cell, scene.width, scene.height) for cell in cells])
    return places(scene.located, middle[:, 0], middle[:, 1])


def _colours(count: int) -> list[str]:
    """Return clearly different colours for neighbouring ids: hues a golden angle apart."""
    colours = []
    for number in range(count):
        rgb = colorsys.hls_to_rgb(number * 0.381966 % 1, (0.45, 0.6, 0.35)[number % 3], 0.6)
        colours.append("#" + bytes(round(255 * value) for value in rgb).hex())
    return colours
