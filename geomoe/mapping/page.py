"""One HTML page that holds the whole map and opens from disk without a network.

A pure function: the same table gives the same bytes. folium and branca put the page together; Leaflet
and everything else is inside. Text from data and file names travels as JSON in which no character
can end the script, and reaches the page as text only; a content security policy, which names each
script of the page by its hash, forbids any other script and any request.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import TYPE_CHECKING, Any, cast

import folium
import numpy as np
from branca.element import Element, MacroElement
from folium.template import Template

from geomoe.errors import ConfigError, OutputError
from geomoe.mapping import palette
from geomoe.mapping.antimeridian import left_edge, outlines, place_lon
from geomoe.mapping.earth import ASSETS, earth_on
from geomoe.mapping.labels import place_labels
from geomoe.mapping.mercator import Frame, frame

if TYPE_CHECKING:
    from branca.element import Figure

    from geomoe.mapping.table import BlockSummary, Points, RoutingTable

MOST_BYTES = 5_000_000
_WIDEST = 1440  # pixels from west to east: all that a page of this size has room for
_COARSER = 8  # attempts at fewer pixels
_PLACE = "GEOMOE_DATA"  # where the data goes; branca renders scripts as templates, so it goes in last
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class _Map(folium.Map):
    """A folium map that links to nothing: Leaflet is put into the page instead."""

    default_js: list[tuple[str, str]] = []  # noqa: RUF012 - folium's own class attribute
    default_css: list[tuple[str, str]] = []  # noqa: RUF012


class _App(MacroElement):
    """The panel and the script that drives the map."""

    _template = Template(
        """
        {% macro header(this, kwargs) %}<style>{{ this.style }}</style>{% endmacro %}
        {% macro html(this, kwargs) %}
        <main id="geomoe-panel" aria-label="Layers, legend and report"></main>
        {% endmacro %}
        {% macro script(this, kwargs) %}
        geomoeStart({{ this._parent.get_name() }}, {{ this.place }});
        {% endmacro %}
        """
    )

    def __init__(self) -> None:
        super().__init__()
        self._name, self._id = "GeomoeApp", "0"
        self.style = _asset("page.css")
        self.place = _PLACE


def render_page(
    table: RoutingTable,
    summaries: tuple[BlockSummary, ...],
    points: Points | None = None,
    held_out: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> str:
    """Draw a routing table as one self-contained HTML page.

    Args:
        table: what the routers answer.
        summaries: what is said about each block, in the table's order.
        points: samples to draw over the map.
        held_out: name of the region left out of training; outlined when its outline is known.
        most_bytes: size of the page; cells share pixels until it fits.

    Raises:
        ConfigError: not one summary for each block.
        CoordinateError: the grid lies wholly beyond the latitudes that a web map shows.
        OutputError: the page cannot be made to fit.
    """
    if len(summaries) != table.num_blocks:
        msg = f"page: expected {table.num_blocks} summaries, one for each block; got {len(summaries)}"
        raise ConfigError(msg)
    first = -(-len(table.grid.lon) // _WIDEST)
    for coarser in range(first, first + _COARSER):
        page = _assemble(table.title, _data(table, summaries, points, held_out, frame(table.grid, coarser)))
        if len(page.encode()) <= most_bytes:
            return page
    msg = (
        f"page: does not fit into {most_bytes} bytes even with pixels of {coarser} cells; "
        "map fewer cells (a larger step, a smaller bounding box) or fewer points"
    )
    raise OutputError(msg)


def script_json(value: Any) -> str:  # noqa: ANN401 - anything JSON
    r"""JSON that is safe inside a script element: <, > and & become \u escapes, as do U+2028 and U+2029."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _assemble(title: str, data: dict[str, Any]) -> str:
    west, south, east, north = data["bounds"]
    page = _Map(
        location=[(south + north) / 2, (west + east) / 2],
        tiles=None,
        zoom_start=1,
        zoom_snap=0.25,
        zoom_delta=0.5,
        max_zoom=9,
        attribution_control=False,
    )
    page._id = "experts"  # folium draws ids at random
    figure = cast("Figure", page.get_root())
    figure._id = "geomoe"
    head = f"<title>{html.escape(title)}</title><style>{_asset('leaflet.css')}</style>"
    figure.header.add_child(_Raw(head, "0"), name="leaflet_css")
    scripts = "\n".join(_asset(name) for name in ("leaflet.js", "png.js", "points.js", "page.js"))
    figure.header.add_child(_Raw(f"<script>{scripts}</script>", "1"), name="geomoe_js")
    page.add_child(_App())
    before, _, after = figure.render().rpartition(_PLACE)
    return _seal(before + script_json(data) + after)


class _Raw(Element):
    """Text that goes into the page as it is."""

    _template = Template("{{ this.text }}")

    def __init__(self, text: str, number: str) -> None:
        super().__init__()
        self._id, self.text = number, text


def _seal(page: str) -> str:
    """Allow the scripts that are in the page, by their hashes, and nothing else from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in _SCRIPT.findall(page)]
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "script-src " + " ".join(f"'sha256-{digest}'" for digest in hashes)
    )
    head = f'<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<html>", '<html lang="en">', 1).replace("<head>", head, 1)


def _data(
    table: RoutingTable,
    summaries: tuple[BlockSummary, ...],
    points: Points | None,
    held_out: str | None,
    view: Frame,
) -> dict[str, Any]:
    colours = palette.expert_colours(table.num_experts)
    left = left_edge(table.grid)
    shapes = outlines(left)
    return {
        "title": table.title,
        "facts": [list(fact) for fact in table.facts],
        "bounds": list(view.bounds),
        "colours": colours,
        "inks": [palette.ink(colour) for colour in colours],
        "ramps": {
            "weights": [palette.weight_stops(colour) for colour in colours],
            "entropy": palette.ENTROPY_STOPS,
        },
        "blocks": [_block(table, number, summary, view) for number, summary in enumerate(summaries)],
        "land": list(shapes.values()),
        "heldOut": {"name": held_out, "shape": shapes[held_out]} if held_out in shapes else None,
        "points": None if points is None or not len(points.label) else _points(points, left),
        "notes": _notes(table, points, view),
    }


def _notes(table: RoutingTable, points: Points | None, view: Frame) -> list[str]:
    cell = f"cells of {table.grid.step:g}°"
    if view.step > table.grid.step * 1.0001:
        cell += f", shown here in pixels of {view.step:.3g}°"
    unplaced = sum(points.unplaced) if points else 0
    return [
        *([f"{unplaced} samples of unknown place are not on the map."] if unplaced else []),
        "Experts are numbered from 0. The shared expert answers everywhere and is not shown.",
        f"Weights: {cell}; 8 bits, exact to 0.002. Shares count true area, Antarctica included.",
        "Coastlines and regions: Natural Earth (public domain), illustrative. Web Mercator enlarges "
        "high latitudes and ends at 85°. Drawn with Leaflet and folium.",
    ]


def _block(table: RoutingTable, number: int, summary: BlockSummary, view: Frame) -> dict[str, Any]:
    top = _top(table.weights[number])
    entropy = table.entropy(number)
    entropy_top = _top(entropy)
    colours = palette.expert_colours(table.num_experts)
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
        "information": [[what, round(bits, 4), round(norm, 4)] for what, bits, norm in summary.information],
        "labels": [list(label) for label in place_labels(table, number, earth_on(table.grid).land)],
    }


def _top(values: np.ndarray) -> float:
    """Where a scale from 0 ends: the largest value, up to the next tenth."""
    return float(np.clip(np.ceil(float(values.max()) * 10 - 1e-6) / 10, 0.1, 1.0))


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]


def _points(points: Points, left: float) -> dict[str, Any]:
    """Fifteen bytes a sample: 1e-5 degrees (1 m), class numbers, region, split."""
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


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
