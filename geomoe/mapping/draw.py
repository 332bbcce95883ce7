"""Draw the expert map of a checkpoint: evaluate the routers on a grid and write the results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.config.reach import encoder_text, km_text
from geomoe.coords import continuous, make_grid, whole_cells
from geomoe.earth.mercator import frame
from geomoe.errors import ConfigError
from geomoe.inference import Predictor, load, open_split, predict_dataset
from geomoe.inference.saving import predictor_of
from geomoe.mapping.ask import check_routes_by_place, route_grid
from geomoe.mapping.figure import write_figure
from geomoe.mapping.page import render_page
from geomoe.mapping.raster import dominant_bands, expert_names, write_raster
from geomoe.mapping.report import MapReport
from geomoe.mapping.summary import report_map, summarise
from geomoe.mapping.support import Support, box_of, find_support, places_of, reach_of, step_of
from geomoe.mapping.table import BlockSummary, Points, RoutingTable
from geomoe.mapping.vector import write_vector
from geomoe.models import Network
from geomoe.support.figures import FORMATS, check_format
from geomoe.support.files import Workplace, path_of
from geomoe.support.legends import attribute_tables, qgis_style, read_colours
from geomoe.support.options import call_options
from geomoe.support.text import counted

if TYPE_CHECKING:
    from os import PathLike

    from folium import Map
    from numpy.typing import NDArray

    from geomoe.coords import Grid
    from geomoe.models import MoGEViT

STEP = 0.5  # side of a cell in degrees on a map of the whole Earth
_WHOLE_STEP = 1.0  # side of a cell for the numbers over the whole Earth that accompany a map of a part of it
WORLD = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """What is mapped, and how finely.

    Args:
        step: degrees on a side of a cell; default: 0.5, or less on a map of a small region.
        bounds: west, south, east, north in degrees, extended to whole cells;
            across the antimeridian east is below west or beyond 180: (170, -25, -170, 0) and
            (170, -25, 190, 0) are the same box. Default: the box around the training places and their reach,
            or the whole Earth if that box is more than half of it or the places are not known.
        support_km: km around training places that count as near; default: from the places.
        points: whether to classify and draw the training and test samples too; needs the data.
        data_root: folder of the data; default: that of the checkpoint's configuration.
        device: auto, cpu, cuda, ...
        allow_vrt: whether to read VRTs too, whose sources must be in the folder of the data.
        colors: file with a colour for each of ``expert 0``, ``expert 1``, ...: see
            :func:`geomoe.support.legends.read_colours`.
        figure_format: png, pdf or svg.
    """

    step: float | None = None
    bounds: tuple[float, float, float, float] | None = None
    support_km: float | None = None
    points: bool = True
    data_root: str | PathLike[str] | None = None
    device: str = "auto"
    allow_vrt: bool = False
    colors: str | PathLike[str] | None = None
    figure_format: str = "png"

    def grid(self, places: NDArray[np.float64] | None = None) -> Grid:
        """The cells.

        Args:
            places: (N, 2) lonlat degrees of the training places, which the map fits if no bounds are given.

        Raises:
            CoordinateError: a step or bounds that make no grid, or one that a web map cannot show.
        """
        box = None if places is None or self.bounds is not None else self._box(places)
        if self.bounds is not None:
            box = continuous(self.bounds)
        step = self.step if self.step is not None else STEP if box is None else step_of(box)
        grid = make_grid(step, WORLD if box is None else whole_cells(step, box))
        frame(grid)  # refuses what no web map shows before any work is done
        return grid

    def _box(self, places: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
        if not len(places):
            return None
        return box_of(places, reach_of(places) if self.support_km is None else self.support_km)


class MapResult(NamedTuple):
    """An expert map that was written.

    Attributes:
        folder: where its files are.
        files: experts.html, .tif, its attribute table and style, .parquet, .png and .json.
        table: the gate weights on the grid.
        report: the content of experts.json: shares of land, mutual information, verdicts in words.
    """

    folder: Path
    files: tuple[Path, ...]
    table: RoutingTable
    report: MapReport

    def text(self) -> str:
        """The files, then what each block's experts do, in words."""
        return "\n".join([*map(str, self.files), self.report.text()])

    def folium(self, tiles: str | None = None) -> Map:
        """The map as a ``folium.Map``, for notebooks: see :func:`geomoe.mapping.notebook.folium_map`."""
        from geomoe.mapping.notebook import folium_map

        return folium_map(self.table, tiles)


class _Drawing(NamedTuple):
    """Everything that the files are made from."""

    table: RoutingTable
    summaries: tuple[BlockSummary, ...]
    points: Points | None
    held_out: str | None
    report: MapReport


def map_experts(
    checkpoint: str | PathLike[str] | Predictor | MoGEViT,
    output: str | PathLike[str],
    options: MapOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of MapOptions
) -> MapResult:
    """Draw where each expert of a checkpoint is used.

    The routers used for classification are evaluated at the centre of every cell of a grid, which needs
    no image. All files are written at the end, or none.

    Args:
        checkpoint: a ``.ckpt`` file written by ``geomoe train --algorithm moge`` or :func:`geomoe.save`, a
            result of :func:`geomoe.load`, or a network of :func:`geomoe.add_moge` (its map has no samples,
            because it has no data).
        output: folder for experts.html, .tif, .parquet, .png and .json; made if it is not there.
        options: what is mapped, and how finely; default: see :class:`MapOptions`.
        **changes: fields of :class:`MapOptions` by name: ``map_experts(file, "map", step=2.0)``.

    Raises:
        CheckpointError: no such checkpoint, or one whose routing does not depend on the place.
        CoordinateError: a step or bounds that make no grid, or one that a web map cannot show.
        ConfigError: more cells than memory holds.
        InputError: a file of colours that does not fit the experts, or an unknown format of figures.
        OutputError: the folder cannot be written.
    """
    asked = call_options(MapOptions, options, changes)
    output = path_of(output, "output")
    check_format(asked.figure_format)
    asked.grid()  # refuses what makes no grid before the checkpoint is read
    if asked.support_km is not None and not 0 < asked.support_km < np.inf:
        raise ConfigError(f"support_km: expected a positive number of km; got {asked.support_km}")
    if isinstance(checkpoint, Network):
        asked = replace(asked, points=False)
        predictor, name = predictor_of(checkpoint), "a network without a checkpoint"
    elif isinstance(checkpoint, Predictor):
        predictor, name = checkpoint, "a loaded checkpoint"
    else:
        predictor, name = load(checkpoint, asked.device), Path(checkpoint).name
    check_routes_by_place(predictor, name if isinstance(checkpoint, Predictor | Network) else str(checkpoint))
    grid = asked.grid(places_of(predictor.info))
    names = expert_names(predictor.config.model.num_experts)
    colours = () if asked.colors is None else tuple(read_colours(asked.colors, names))
    with Workplace(Path(output), "the map") as place:
        drawing = _draw(predictor, name, grid, asked, colours)
        _write(drawing, place, asked.figure_format)
        files = place.finish()
    return MapResult(Path(output), files, drawing.table, drawing.report)


def _draw(
    predictor: Predictor, name: str, grid: Grid, asked: MapOptions, colours: tuple[str, ...]
) -> _Drawing:
    """Ask the routers and, where samples are drawn, the network."""
    support = find_support(grid, places_of(predictor.info), asked.support_km)
    names = ("train", "test") if asked.points else ()
    splits = [open_split(predictor, split, asked.data_root, allow_vrt=asked.allow_vrt) for split in names]
    table = RoutingTable(
        grid,
        route_grid(predictor.model, grid),
        tuple(f"block {number}" for number in predictor.blocks),
        _facts(predictor, name, grid, support),
        _title(predictor),
        support,
        colours,
    )
    points = _points(predictor, splits) if splits else None
    whole = None
    if (
        support is not None and asked.bounds is None and grid.bounds != WORLD
    ):  # the map is a part of the Earth
        earth = make_grid(_WHOLE_STEP, WORLD)
        whole = RoutingTable(earth, route_grid(predictor.model, earth), table.blocks)
    summaries = summarise(table, whole)
    held_out = predictor.config.data.held_out
    return _Drawing(table, summaries, points, held_out, report_map(table, summaries, points))


def _write(drawing: _Drawing, place: Workplace, figure_format: str) -> None:
    """Every file of a map."""
    table, summaries, points, held_out, report = drawing
    page, text = render_page(table, summaries, points, held_out), report.as_json()
    place.write("experts.html", lambda path: path.write_text(page, encoding="utf-8"))
    place.write("experts.tif", lambda path: write_raster(table, path))
    bands = dominant_bands(table)
    legend, style = attribute_tables(bands), qgis_style(*next(iter(bands.items())))
    place.write("experts.tif.aux.xml", lambda path: path.write_text(legend, encoding="utf-8"))
    place.write("experts.qml", lambda path: path.write_text(style, encoding="utf-8"))
    place.write("experts.parquet", lambda path: write_vector(table, path))
    place.write(
        f"experts.{figure_format}",
        lambda path: write_figure(table, summaries, path, held_out, figure_format),
    )
    for other in FORMATS:
        place.outdates(f"experts.{other}")
    place.write("experts.json", lambda path: path.write_text(text, encoding="utf-8"))


def _points(predictor: Predictor, splits: list[Any]) -> Points:
    """Training and test samples with a known place, and the classes that the network predicts for them."""
    parts = [predict_dataset(predictor, split) for split in splits]
    lonlat = np.concatenate([part.lonlat for part in parts])
    known = ~np.isnan(lonlat).any(axis=1)
    test = np.repeat([False, True], [len(part.label) for part in parts])
    return Points(
        lonlat[known],
        np.concatenate([part.domain for part in parts])[known],
        np.concatenate([part.label for part in parts])[known],
        np.concatenate([part.predicted for part in parts])[known],
        test[known],
        tuple(predictor.domains),
        tuple(predictor.classes),
        (int((~known & ~test).sum()), int((~known & test).sum())),
    )


def _title(predictor: Predictor) -> str:
    data = predictor.config.data
    held_out = f", {data.held_out} held out" if data.held_out else ""
    return f"Expert map: MoGE on {data.name}{held_out}"


def _facts(
    predictor: Predictor, name: str, grid: Grid, support: Support | None
) -> tuple[tuple[str, str], ...]:
    config = predictor.config
    data, model = config.data, config.model
    height, width = grid.shape
    return (  # the first three stand under the title
        ("Checkpoint", name),
        ("Held out", data.held_out or "nothing"),
        ("Experts", f"{model.num_experts}, top {model.top_k}, {model.router} router"),
        ("Trained on", f"{data.name}, split {data.split_seed}, seed {config.seed}"),
        ("Backbone", f"{model.backbone}, {model.image_size} px"),
        ("MoGE blocks", ", ".join(str(number) for number in predictor.blocks)),
        ("Location encoder", _encoder_fact(predictor)),
        ("Grid", f"{grid.step:g}°, {counted(height * width, 'cell')}"),
        ("Support", _support_fact(support)),
    )


def _encoder_fact(predictor: Predictor) -> str:
    km = None if predictor.encoder is None else predictor.encoder.resolution_km
    return encoder_text(predictor.config.encoder) + ("" if km is None else f": tells apart {km_text(km)}")


def _support_fact(support: Support | None) -> str:
    if support is None:
        return "not known: the checkpoint has no training places, so all land counts"
    return f"within {support.reach_km:g} km of {counted(support.places, 'training place')}"
