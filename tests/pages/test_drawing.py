"""Drawings in a page: titles for the pointer, and nothing that runs or is fetched."""

from __future__ import annotations

import pytest

from geomoe.pages.document import Section, render_document
from geomoe.pages.drawing import drawing

SVG = """<?xml version="1.0"?><!DOCTYPE svg>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10pt" onload="x()">
<!-- a comment --><style>*{color: red}</style><script>alert(1)</script>
<defs><path id="m" d="M 0 0 L 1 1"/></defs>
<g id="one"><use xlink:href="#m" x="1"/></g><g id="two"><use xlink:href="https://example.org/x#m"/></g>
<foreignObject><p>text</p></foreignObject><image href="file:///etc/passwd"/>
</svg>"""


def test_what_draws_is_kept_and_the_rest_is_not():
    made = drawing(SVG, 'a "figure"', {"one": "1 < 2 & 3"})
    page = render_document("t", [], [Section("s", parts=(made,))])
    assert '<g id="one"><title>1 &lt; 2 &amp; 3</title><use x="1" href="#m" /></g>' in page
    assert 'aria-label="a &quot;figure&quot;"' in page
    assert '<path id="m" d="M 0 0 L 1 1" />' in page
    for text in (
        "onload",
        "script",
        "alert",
        "comment",
        "color: red",
        "example.org",
        "foreignObject",
        "passwd",
    ):
        assert text not in made.markup
    assert made.markup.count("<use") == 2


def test_a_title_without_its_element_is_refused():
    with pytest.raises(ValueError, match="drawing: no element three"):
        drawing(SVG, "a figure", {"three": "x"})
