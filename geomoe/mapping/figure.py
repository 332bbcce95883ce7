"""The routing table as a figure for print: dominant expert and routing entropy of each block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from geomoe.earth.borders import is_part
from geomoe.earth.land import earth_on
from geomoe.earth.outlines import left_edge, outlines
from geomoe.mapping.labels import place_labels
from geomoe.pages import palette
from geomoe.pages.ground import draw_graticule, draw_ground, fade_sea, shrunk
from geomoe.support.figures import plain_text, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from geomoe.mapping.table import BlockSummary, RoutingTable


@plain_text()
def draw_figure(
    table: RoutingTable, summaries: tuple[BlockSummary, ...], held_out: str | None = None
) -> Figure:
    """Draw one row for each block; latitude and longitude are equally spaced (plate carree).

    On a map of a part of the Earth a degree of longitude has the length that it has at the map's middle
    latitude. Across the antimeridian the axis labels continue after 180 with the western longitudes (-170,
    ...).

    Args:
        table: the gate weights on the grid.
        summaries: the summary of each block, in the table's order.
        held_out: name of the region to outline.
    """
    west, south, east, north = table.grid.bounds
    box, part = table.grid.bounds, is_part(table.grid.bounds)
    narrow = shrunk(box) if part else 1.0  # a degree of longitude over one of latitude
    aspect = np.clip((north - south) / (east - west) / narrow, 0.25, 2.0)
    figure = Figure(figsize=(13, (6 * aspect + 0.95) * table.num_blocks + 0.5), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.08, rect=(0, 0.012, 1, 0.988))  # type: ignore[union-attr,call-arg]
    figure.suptitle(table.title, fontsize=15, fontweight="bold")
    axes = figure.subplots(table.num_blocks, 2, squeeze=False)
    colours = table.shades
    veil = np.zeros((*table.grid.shape, 4))
    if table.support is not None:
        veil[~table.support.near] = (0.93, 0.95, 0.96, 0.6)
    if not part:
        veil[~earth_on(table.grid).land] = (0.93, 0.95, 0.96, 0.75)
    extent = (west, east, south, north)
    for block, summary in enumerate(summaries):
        left, right = axes[block]
        flat = ListedColormap(colours)
        left.imshow(
            table.dominant(block),
            extent=extent,
            cmap=flat,
            vmin=-0.5,
            vmax=len(colours) - 0.5,
            interpolation="nearest",
        )
        _number(left, table, block, colours)
        _legend(left, summary, colours)
        shades = LinearSegmentedColormap.from_list("entropy", palette.ENTROPY_STOPS)
        image = right.imshow(
            table.entropy(block), extent=extent, cmap=shades, vmin=0, vmax=1, interpolation="nearest"
        )
        below = right.inset_axes((0.25, -0.075 / aspect, 0.5, 0.0175 / aspect))  # of one height in inches
        figure.colorbar(image, cax=below, orientation="horizontal").ax.tick_params(labelsize=8)
        for axis, what in ((left, "dominant expert"), (right, "routing entropy (0 one expert, 1 all alike)")):
            axis.imshow(veil, extent=extent, interpolation="nearest")
            _outline(axis, left_edge(table.grid), held_out, coasts=not part)
            axis.set(xlim=(west, east), ylim=(south, north), title=f"{table.blocks[block]}: {what}")
            if part:
                fade_sea(axis, box, "#edf2f5", 0.75)
                draw_ground(axis, box)
            draw_graticule(axis, box)
            axis.set_ylabel("latitude (°)", fontsize=8)
            axis.tick_params(labelsize=8)
    return figure


def write_figure(
    table: RoutingTable,
    summaries: tuple[BlockSummary, ...],
    path: Path,
    held_out: str | None = None,
    figure_format: str = "png",
) -> None:
    """Write :func:`draw_figure` as png, pdf or svg; the same input gives the same bytes."""
    save_figure(draw_figure(table, summaries, held_out), path, figure_format, 110)


def _number(axis: Axes, table: RoutingTable, block: int, colours: list[str]) -> None:
    for label in place_labels(table, block, earth_on(table.grid).land):
        colour = colours[label.expert]
        box = {"boxstyle": "circle,pad=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 0.8}
        axis.text(
            label.lon,
            label.lat,
            str(label.expert),
            ha="center",
            va="center",
            fontsize=7,
            color=palette.ink(colour),
            bbox=box,
            zorder=5,
        )


def _legend(axis: Axes, summary: BlockSummary, colours: list[str]) -> None:
    keys: list[Any] = [
        Patch(facecolor=colour, label=f"{expert}: {100 * share:.0f} %")
        for expert, (colour, share) in enumerate(zip(colours, summary.report.share, strict=True))
    ]
    axis.legend(
        handles=keys,
        title=f"expert: share of {summary.area}",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=min(8, len(keys)),
        fontsize=8,
        title_fontsize=8,
        frameon=False,
    )


def _outline(axis: Axes, left: float, held_out: str | None, *, coasts: bool) -> None:
    for region, geometry in outlines(left).items():
        rings = [np.array(ring) for polygon in geometry["coordinates"] for ring in polygon]
        if coasts:
            lines = LineCollection(rings, colors="#22313a", linewidths=0.4, zorder=3)
            axis.add_collection(lines, autolim=False)
        if region == held_out:
            for colour, width, style in (("white", 2.2, "solid"), ("black", 1.1, "dashed")):
                lines = LineCollection(rings, colors=colour, linewidths=width, linestyles=style, zorder=4)
                axis.add_collection(lines, autolim=False)
