"""A page of text, tables and figures: text stays text, nothing is loaded, nothing runs."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from geomoe.pages.document import (
    Cell,
    Heading,
    Section,
    Table,
    Text,
    Warned,
    bitmap,
    listing,
    render_document,
)
from geomoe.pages.drawing import drawing
from geomoe.pages.shell import render_asset

SVG = "<svg xmlns='http://www.w3.org/2000/svg'><g id='a'/></svg>"
HOSTILE = "<script>alert(1)</script>\"'&</style>{{ 7 * 7 }}"


class Reader(HTMLParser):
    """Collects tags, attributes and the text of cells."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.cells, self.open = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag in ("td", "th"):
            self.open = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def page():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    parts = (
        Text(HOSTILE),
        Heading(HOSTILE),
        Warned(HOSTILE, HOSTILE),
        bitmap(figure, HOSTILE),
        listing(HOSTILE, ("", HOSTILE), [["row", HOSTILE], ["other", "1"]], open=True),
        listing("folded", ("x",), []),
        Table((HOSTILE,), ((Cell("best", "runs/a b/", best=True),),), note=HOSTILE, anchor="here"),
        drawing(SVG, HOSTILE, {"a": HOSTILE}),
    )
    return render_document(HOSTILE, [(HOSTILE, HOSTILE)], [Section(HOSTILE, (HOSTILE,), parts), Section("B")])


def test_text_stays_text(page):
    read = Reader(page)
    assert "script" not in read.tags
    assert read.tags.count("style") == 1
    assert read.cells == ["", HOSTILE, "row", HOSTILE, "other", "1", "x", HOSTILE, "best"]
    assert page.count("{{ 7 * 7 }}") == 20  # the template does not evaluate it


def test_nothing_is_loaded(page):
    read = Reader(page)
    policy = next(value for name, value in read.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy  # so none may run
    sources = [value for name, value in read.attributes if name in ("src", "href")]
    (pixels,) = (value for value in sources if value.startswith("data:image/"))
    assert base64.b64decode(pixels.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    links = [value for value in sources if not value.startswith("data:image/")]
    assert links == ["#section-1", "#section-2", "runs/a b/"]
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_body_is_well_formed(page):
    body = ElementTree.fromstring(page[page.index("<main>") : page.index("</main>") + 7])
    assert [cell.get("class") for cell in body.iter("td")][-1] == "best"
    assert [table.get("id") for table in body.iter("table")] == [None, None, "here"]
    assert [details.get("open") for details in body.iter("details")] == ["open", None]


@pytest.mark.parametrize(
    "link", ["https://a.org", "javascript:alert(1)", "//a.org", "/etc", "\\\\host", "x:"]
)
def test_links_that_lead_elsewhere_are_refused(link):
    wrong = Table(("a",), ((Cell("x", link),),))
    with pytest.raises(ValueError, match="expected relative links"):
        render_document("x", [], [Section("y", parts=(wrong,))])


def test_one_section_has_no_links_at_the_top():
    assert "<nav" not in render_document("x", [], [Section("y")])


def test_the_same_figure_gives_the_same_pixels():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    again = Figure(figsize=(2, 1))
    again.subplots().plot([0, 1])
    assert bitmap(figure, "x") == bitmap(again, "x")


def test_a_template_with_a_missing_value_is_refused():
    with pytest.raises(UndefinedError):
        render_asset("document.html.jinja", ("document.css",), title="x")
