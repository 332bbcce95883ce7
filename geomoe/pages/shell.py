"""The shell of every map page: one HTML file that opens from disk without a network.

One template makes it; Leaflet and everything else is inside. Text from data and file names travels as JSON
in which no character can end the script, and reaches the page as text only; a content security policy, which
names each script of the page by its hash, forbids any other script and any request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

ASSETS = files("geomoe.pages") / "assets"
STYLES = ("leaflet.css", "page.css")


def script_json(value: Any) -> str:  # noqa: ANN401 - anything JSON
    r"""JSON that is safe inside a script element: <, > and & become \u escapes, as do U+2028 and U+2029."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def assemble(title: str, data: dict[str, Any], scripts: Sequence[str]) -> str:
    """One page over a map of the Earth.

    Args:
        title: title of the page.
        data: data for the script; ``bounds`` is west, south, east, north in degrees.
        scripts: assets, Leaflet first; they must define ``geomoeMap(id, bounds)`` and ``geomoeStart(map,
            data)``.
    """
    start = (
        f'const map_experts = geomoeMap("map_experts", {script_json(data["bounds"])});\n'
        f"geomoeStart(map_experts, {script_json(data)});"
    )
    code = "\n".join(_asset(name) for name in scripts)
    return _template("page.html.jinja").render(
        title=title, styles=[_asset(name) for name in STYLES], code=code, start=start
    )


def render_asset(name: str, styles: Sequence[str], **values: Any) -> str:  # noqa: ANN401 - what the template takes
    """A page without a script, from a template of this package.

    Args:
        name: the template.
        styles: assets that make up its ``style``.
        **values: values for the template; text is escaped.
    """
    return _template(name).render(style="\n".join(_asset(one) for one in styles), **values)


def _template(name: str) -> Template:
    templates = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    templates.filters["digest"] = _digest
    return templates.from_string(_asset(name))


def _digest(script: str) -> str:
    """The hash by which the page's policy allows a script: SHA-256, in base64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
