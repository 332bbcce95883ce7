"""Draw the expert map of a checkpoint: evaluate the routers on a grid and write the results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.coords import make_grid, whole_cells
from geomoe.earth.land import earth_on
from geomoe.earth.mercator import frame
from geomoe.inference import Predictor, load, open_split, predict_dataset
from geomoe.inference.saving import predictor_of
from geomoe.mapping.ask import check_routes_by_place, route_grid
from geomoe.mapping.figure import write_figure
from geomoe.mapping.page import render_page
from geomoe.mapping.raster import write_raster
from geomoe.mapping.report import BlockReport, MapReport, PointCount, SharedInformation
from geomoe.mapping.table import BlockSummary, Points, RoutingTable, report_block, verdicts
from geomoe.mapping.vector import write_vector
from geomoe.metrics import mutual_information
from geomoe.models import MoGEViT
from geomoe.support.files import Workplace
from geomoe.support.options import call_options

if TYPE_CHECKING:
    from os import PathLike

    from folium import Map

    from geomoe.coords import Grid

WORLD = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """What is mapped, and how finely.

    Args:
        step: degrees on a side of a cell.
        bounds: west, south, east, north in degrees, grown to whole cells where they cut some;
            across the antimeridian east is below west or beyond 180: (170, -25, -170, 0) and
            (170, -25, 190, 0) are the same box. Default: the whole Earth.
        points: classify the training and test samples too and draw them; needs the data.
        data_root: folder of the data; default: where the checkpoint's configuration says.
        device: auto, cpu, cuda, ...
        allow_vrt: read VRTs too, whose sources have to lie in the folder of the data.
    """

    step: float = 0.5
    bounds: tuple[float, float, float, float] | None = None
    points: bool = True
    data_root: str | None = None
    device: str = "auto"
    allow_vrt: bool = False

    def grid(self) -> Grid:
        """The cells.

        Raises:
            CoordinateError: a step or bounds that make no grid, or one that a web map cannot show.
        """
        grid = make_grid(self.step, WORLD if self.bounds is None else whole_cells(self.step, self.bounds))
        frame(grid)  # refuses what no web map shows before any work is done
        return grid


class MapResult(NamedTuple):
    """An expert map that was written.

    Attributes:
        folder: where its files are.
        files: experts.html, .tif, .parquet, .png and .json.
        table: what the routers answered.
        report: what experts.json holds: shares of land, mutual information, verdicts in words.
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
        checkpoint: a ``.ckpt`` file written by ``geomoe train --algorithm moge`` or :func:`geomoe.save`, what
            :func:`geomoe.load` returned, or a network of :func:`geomoe.add_moge` (without samples: it knows
            no data).
        output: folder for experts.html, .tif, .parquet, .png and .json; made if it is not there.
        options: what is mapped, and how finely; default: the whole Earth in cells of half a degree.
        **changes: fields of :class:`MapOptions` by name: ``map_experts(file, "map", step=2.0)``.

    Raises:
        CheckpointError: no such checkpoint, or one whose routing does not depend on the place.
        CoordinateError: a step or bounds that make no grid, or one that a web map cannot show.
        ConfigError: more cells than memory holds.
        OutputError: the folder cannot be written.
    """
    asked = call_options(MapOptions, options, changes)
    grid = asked.grid()
    if isinstance(checkpoint, MoGEViT):
        asked = replace(asked, points=False)
        predictor, name = predictor_of(checkpoint), "a network without a checkpoint"
    elif isinstance(checkpoint, Predictor):
        predictor, name = checkpoint, "a loaded checkpoint"
    else:
        predictor, name = load(checkpoint, asked.device), Path(checkpoint).name
    check_routes_by_place(predictor, name if isinstance(checkpoint, Predictor | MoGEViT) else str(checkpoint))
    with Workplace(Path(output), "the map") as place:
        drawing = _draw(predictor, name, grid, asked)
        _write(drawing, place)
        files = place.finish()
    return MapResult(Path(output), files, drawing.table, drawing.report)


def _draw(predictor: Predictor, name: str, grid: Grid, asked: MapOptions) -> _Drawing:
    """Ask the routers and, where samples are drawn, the network."""
    names = ("train", "test") if asked.points else ()
    splits = [open_split(predictor, split, asked.data_root, allow_vrt=asked.allow_vrt) for split in names]
    table = RoutingTable(
        grid,
        route_grid(predictor.model, grid),
        tuple(f"block {number}" for number in predictor.blocks),
        _facts(predictor, name, grid),
        _title(predictor),
    )
    points = _points(predictor, splits) if splits else None
    summaries = summarise(table)
    held_out = predictor.config.data.held_out
    return _Drawing(table, summaries, points, held_out, report_map(table, summaries, points))


def _write(drawing: _Drawing, place: Workplace) -> None:
    """Every file of a map."""
    table, summaries, points, held_out, report = drawing
    page, text = render_page(table, summaries, points, held_out), report.as_json()
    place.write("experts.html", lambda path: path.write_text(page, encoding="utf-8"))
    place.write("experts.tif", lambda path: write_raster(table, path))
    place.write("experts.parquet", lambda path: write_vector(table, path))
    place.write("experts.png", lambda path: write_figure(table, summaries, path, held_out))
    place.write("experts.json", lambda path: path.write_text(text, encoding="utf-8"))


def summarise(table: RoutingTable) -> tuple[BlockSummary, ...]:
    """What each block does with geography: land cells only, weighted by their true area."""
    earth = earth_on(table.grid)
    land = earth.land.ravel()
    area = table.grid.areas().ravel()[land]
    kinds = {"land cover": earth.landcover.ravel()[land], "region": earth.region.ravel()[land]}
    summaries = []
    for block in range(table.num_blocks):
        report = report_block(table, block, earth.land)
        dominant = table.dominant(block).ravel()[land]
        shared = []
        for what, labels in kinds.items():
            if len(labels):
                found = mutual_information(dominant, labels, area)
                shared.append((what, found.nats / np.log(2), found.normalized))
        summaries.append(BlockSummary(report, tuple(verdicts(report)), tuple(shared)))
    return tuple(summaries)


def _points(predictor: Predictor, splits: list[Any]) -> Points:
    """Training and test samples with a known place, and what the network says about them."""
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


def _facts(predictor: Predictor, name: str, grid: Grid) -> tuple[tuple[str, str], ...]:
    config = predictor.config
    data, model, encoder = config.data, config.model, config.encoder
    height, width = grid.shape
    detail = f", L = {encoder.legendre_polys}" if encoder.name in ("sh", "sh-siren", "satclip") else ""
    return (  # the first three stand under the title
        ("Checkpoint", name),
        ("Held out", data.held_out or "nothing"),
        ("Experts", f"{model.num_experts}, top {model.top_k}, {model.router} router"),
        ("Trained on", f"{data.name}, split {data.split_seed}, seed {config.seed}"),
        ("Backbone", f"{model.backbone}, {model.image_size} px"),
        ("MoGE blocks", ", ".join(str(number) for number in predictor.blocks)),
        ("Location encoder", f"{encoder.name}{detail}"),
        ("Grid", f"{grid.step:g}°, {height * width:,} cells"),
    )


def report_map(
    table: RoutingTable, summaries: tuple[BlockSummary, ...], points: Points | None = None
) -> MapReport:
    """What is said about a map: numbers rounded to six decimals.

    Args:
        table: what the routers answer.
        summaries: what is said about each block, in the table's order.
        points: samples that are drawn over the map.
    """
    blocks = tuple(
        BlockReport(
            name=name,
            share_of_land=tuple(summary.report.share.round(6).tolist()),
            mean_weight=tuple(summary.report.mean_weight.round(6).tolist()),
            mean_entropy=round(summary.report.entropy, 6),
            mutual_information={
                what: SharedInformation(round(float(bits), 6), round(float(norm), 6))
                for what, bits, norm in summary.information
            },
            verdicts=tuple(summary.words),
        )
        for name, summary in zip(table.blocks, summaries, strict=True)
    )
    return MapReport(table.title, dict(table.facts), blocks, None if points is None else _counts(points))


def _counts(points: Points) -> dict[str, PointCount]:
    right = points.predicted == points.label
    parts = (("train", ~points.test), ("test", points.test))
    return {
        name: PointCount(int(part.sum()), int(right[part].sum()), unplaced)
        for (name, part), unplaced in zip(parts, points.unplaced, strict=True)
    }
