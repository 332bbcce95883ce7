"""One HTML page with the whole map, which opens from disk without a network.

A pure function: the same table gives the same bytes. :mod:`geomoe.pages.shell` describes how a page is
built and prevented from loading anything.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.earth.borders import is_part
from geomoe.earth.land import earth_on
from geomoe.earth.mercator import Frame, frame
from geomoe.earth.outlines import left_edge, outlines, place_lon
from geomoe.errors import ConfigError, OutputError
from geomoe.mapping.labels import place_labels
from geomoe.mapping.support import NEAR_LAND
from geomoe.pages import palette
from geomoe.pages.ground import page_detail, page_ground, page_region
from geomoe.pages.shell import assemble
from geomoe.support.text import counted

if TYPE_CHECKING:
    from geomoe.mapping.table import BlockSummary, Points, RoutingTable

MOST_BYTES = 5_000_000
_WIDEST = 1440  # pixels from west to east: as many as fit into a page of this size
_COARSER = 8  # attempts with fewer pixels
_SCRIPTS = ("leaflet.js", "base.js", "png.js", "points.js", "page.js")


def render_page(
    table: RoutingTable,
    summaries: tuple[BlockSummary, ...],
    points: Points | None = None,
    held_out: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> str:
    """Draw a routing table as one self-contained HTML page.

    Args:
        table: the routers' decisions.
        summaries: the summary of each block, in the table's order.
        points: samples to draw over the map.
        held_out: name of the region left out of training; outlined if its outline is known.
        most_bytes: maximum size of the page; the resolution is reduced until it fits.

    Raises:
        ConfigError: not one summary for each block.
        CoordinateError: the grid is entirely beyond the latitudes that a web map shows.
        OutputError: the page is too large even with few pixels.
    """
    if len(summaries) != table.num_blocks:
        msg = f"page: expected {table.num_blocks} summaries, one for each block; got {len(summaries)}"
        raise ConfigError(msg)
    first = -(-len(table.grid.lon) // _WIDEST)
    for coarser in range(first, first + _COARSER):
        data = _data(table, summaries, points, held_out, frame(table.grid, coarser))
        page = assemble(table.title, data, _SCRIPTS)
        if len(page.encode()) <= most_bytes:
            return page
    msg = (
        f"page: does not fit into {most_bytes} bytes even with pixels of {coarser} cells; "
        "map fewer cells (a larger step, a smaller bounding box) or fewer points"
    )
    raise OutputError(msg)


def _data(
    table: RoutingTable,
    summaries: tuple[BlockSummary, ...],
    points: Points | None,
    held_out: str | None,
    view: Frame,
) -> dict[str, Any]:
    colours = table.shades
    left = left_edge(table.grid)
    shapes, ground = outlines(left), page_ground(view.bounds)
    return {
        "title": table.title,
        "about": "About this checkpoint",
        "facts": [list(fact) for fact in table.facts],
        "bounds": list(view.bounds),
        "colours": colours,
        "inks": [palette.ink(colour) for colour in colours],
        "ramps": {
            "weights": [palette.weight_stops(colour) for colour in colours],
            "entropy": palette.ENTROPY_STOPS,
        },
        "blocks": [_block(table, number, summary, view) for number, summary in enumerate(summaries)],
        "land": [] if ground else list(shapes.values()),
        "ground": ground,
        "detail": None if ground else page_detail(left),
        "heldOut": _held_out(held_out, shapes, view) if held_out in shapes else None,
        "points": None if points is None or not len(points.label) else _points(points, left),
        "far": _far(table, view),
        "counted": summaries[0].area,
        "beside": summaries[0].whole.area if summaries[0].whole else "",
        "notes": _notes(table, points, view),
    }


def _held_out(name: str, shapes: dict[str, Any], view: Frame) -> dict[str, Any]:
    """The outline of the held-out region: fine lines on a part of the Earth, else coarse polygons."""
    if is_part(view.bounds):
        return {"name": name, "lines": page_region(name, view.bounds)}
    return {"name": name, "shape": shapes[name]}


def _far(table: RoutingTable, view: Frame) -> str | None:
    """A picture that fades the cells far from training places; None if these are not known."""
    if table.support is None:
        return None
    return palette.veil_uri(view.take(~table.support.near).astype(np.uint8))


def _notes(table: RoutingTable, points: Points | None, view: Frame) -> list[str]:
    cell = f"cells of {table.grid.step:g}°"
    if view.step > table.grid.step * 1.0001:
        cell += f", shown here in pixels of {view.step:.3g}°"
    unplaced = sum(points.unplaced) if points else 0
    are = counted(unplaced, "sample of unknown place is", "samples of unknown place are")
    return [
        *([f"{are} not on the map."] if unplaced else []),
        "Experts are numbered from 0. The shared expert answers everywhere and is not shown.",
        f"Weights: {cell}; 8 bits, exact to 0.002. Shares count true area{_what_counts(table)}.",
        "Coastlines, borders and regions: Natural Earth (public domain), illustrative. Web Mercator enlarges "
        "high latitudes and ends at 85°. Drawn with Leaflet.",
    ]


def _what_counts(table: RoutingTable) -> str:
    if table.support is None:
        return ", Antarctica included"
    places = counted(table.support.places, "training place")
    if table.support.area != NEAR_LAND:
        return f" of {table.support.area} (within {table.support.reach_km:g} km of one of {places})"
    return (
        f" of land within {table.support.reach_km:g} km of one of {places}; "
        "the sea and Antarctica do not count there. What is further away is faded: no training image was near"
    )


def _block(table: RoutingTable, number: int, summary: BlockSummary, view: Frame) -> dict[str, Any]:
    top = _top(table.weights[number])
    entropy = table.entropy(number)
    entropy_top = _top(entropy)
    colours = table.shades
    report = summary.report
    return {
        "name": table.blocks[number],
        "dominant": palette.png_uri(view.take(table.dominant(number)), palette.flat(colours)),
        "entropy": palette.png_uri(
            palette.quantise(view.take(entropy)), palette.ramp(palette.ENTROPY_STOPS, entropy_top)
        ),
        "weights": [
            palette.png_uri(
                palette.quantise(view.take(table.image(number, expert))),
                palette.ramp(palette.weight_stops(colour), top),
            )
            for expert, colour in enumerate(colours)
        ],
        "top": top,
        "entropyTop": entropy_top,
        "share": _rounded(report.share),
        "mean": _rounded(report.mean_weight),
        "entropyMean": round(report.entropy, 4),
        "words": list(summary.words),
        "whole": None if summary.whole is None else _whole(summary.whole),
        "information": [[what, round(bits, 4), round(norm, 4)] for what, bits, norm in summary.information],
        "labels": [list(label) for label in place_labels(table, number, earth_on(table.grid).land)],
    }


def _whole(summary: BlockSummary) -> dict[str, Any]:
    """The numbers over all land, which accompany those near training places."""
    return {"share": _rounded(summary.report.share), "words": list(summary.words)}


def _top(values: np.ndarray) -> float:
    """The upper end of a scale from 0: the largest value, rounded up to a tenth."""
    return float(np.clip(np.ceil(float(values.max()) * 10 - 1e-6) / 10, 0.1, 1.0))


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]


def _points(points: Points, left: float) -> dict[str, Any]:
    """The samples, in fifteen bytes each: place (in 1e-5 degrees, 1 m), class numbers, region, split."""
    correct = points.label == points.predicted
    packed = b"".join(
        [
            np.round(place_lon(points.lonlat[:, 0], left) * 1e5).astype("<i4").tobytes(),
            np.round(points.lonlat[:, 1] * 1e5).astype("<i4").tobytes(),
            points.label.astype("<u2").tobytes(),
            points.predicted.astype("<u2").tobytes(),
            np.where(points.region < 0, 65535, points.region).astype("<u2").tobytes(),
            points.test.astype("u1").tobytes(),
        ]
    )
    tally = {
        name: {"count": int(part.sum()), "correct": int(correct[part].sum())}
        for name, part in (("test", points.test), ("train", ~points.test))
    }
    return {
        "count": len(points.label),
        "packed": base64.b64encode(packed).decode("ascii"),
        "regions": list(points.regions),
        "classes": list(points.classes),
        **tally,
    }
