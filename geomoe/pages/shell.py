"""What every page of a map is: one HTML file that opens from disk without a network.

folium and branca put it together; Leaflet and everything else is inside. Text from data and file names
travels as JSON in which no character can end the script, and reaches the page as text only; a content
security policy, which names each script of the page by its hash, forbids any other script and any request.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

import folium
from branca.element import Element, MacroElement
from folium.template import Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from branca.element import Figure

ASSETS = files("geomoe.pages") / "assets"
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


def script_json(value: Any) -> str:  # noqa: ANN401 - anything JSON
    r"""JSON that is safe inside a script element: <, > and & become \u escapes, as do U+2028 and U+2029."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def assemble(title: str, data: dict[str, Any], scripts: Sequence[str]) -> str:
    """One page over a map of the Earth.

    Args:
        title: of the page.
        data: what the script gets; ``bounds`` is west, south, east, north in degrees.
        scripts: assets, Leaflet first; one of them has ``geomoeStart(map, data)``.
    """
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
    text = "\n".join(_asset(name) for name in scripts)
    figure.header.add_child(_Raw(f"<script>{text}</script>", "1"), name="geomoe_js")
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


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
