"""Drawings inside a page, with descriptions of their parts that appear under the pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_DRAWN = {
    "svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "line", "polyline", "polygon", "text",
    "tspan", "title",
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """An SVG that becomes part of the page; see :func:`drawing`.

    Attributes:
        markup: the element ``svg``.
    """

    markup: str
    kind: ClassVar[str] = "drawing"


def drawing(svg: str, alt: str, titles: Mapping[str, str]) -> Drawing:
    """Prepare an SVG for the page.

    Only elements that draw are kept, without comments and style sheets, and links only to parts of the
    drawing itself, so that nothing in it can run or be fetched.

    Args:
        svg: a complete SVG file, as matplotlib writes it.
        alt: description of the drawing, in words.
        titles: id of an element -> text that a browser shows when the pointer is on it.

    Raises:
        ValueError: an id of ``titles`` is not in the drawing.
    """
    root = ElementTree.fromstring(svg)
    _keep_what_draws(root)
    by_id = {one.get("id"): one for one in root.iter()}
    missing = titles.keys() - by_id.keys()
    if missing:
        raise ValueError(f"drawing: no element {', '.join(sorted(missing))}")
    for name, text in titles.items():
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = text
        by_id[name].insert(0, title)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("style", "max-width: 100%; height: auto; stroke-linejoin: round; stroke-linecap: butt")
    return Drawing(_text(root))


def _keep_what_draws(parent: ElementTree.Element) -> None:
    for name in [key for key in parent.attrib if key.lower().startswith("on")]:
        del parent.attrib[name]
    for name in (_LINK, "href"):
        if not parent.get(name, "#").startswith("#"):
            del parent.attrib[name]
    for child in list(parent):
        if child.tag.removeprefix(f"{{{_SVG}}}") in _DRAWN:
            _keep_what_draws(child)
        else:
            parent.remove(child)


def _text(root: ElementTree.Element) -> str:
    for one in root.iter():  # HTML knows the elements of SVG by their plain names
        one.tag = one.tag.removeprefix(f"{{{_SVG}}}")
        if _LINK in one.attrib:
            one.set("href", one.attrib.pop(_LINK))
    return ElementTree.tostring(root, encoding="unicode")
