"""A page of text, tables and figures: text stays text, nothing is loaded, nothing runs."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from geomoe.pages.document import Heading, Listing, Section, Text, Warned, picture, render_document
from geomoe.pages.shell import render_asset

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
        self.open = tag in ("td", "th")
        if self.open:
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
        picture(figure, HOSTILE),
        Listing(HOSTILE, ("", HOSTILE), [["row", HOSTILE], ["other", "1"]], open=True),
        Listing("folded", ("x",), []),
    )
    return render_document(HOSTILE, [(HOSTILE, HOSTILE)], [Section(HOSTILE, parts), Section("B", ())])


def test_text_stays_text(page):
    read = Reader(page)
    assert "script" not in read.tags
    assert read.tags.count("style") == 1
    assert read.cells == ["", HOSTILE, "row", HOSTILE, "other", "1", "x"]
    assert page.count("{{ 7 * 7 }}") == 15  # the template does not evaluate it


def test_nothing_is_loaded(page):
    read = Reader(page)
    policy = next(value for name, value in read.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy  # so none may run
    sources = [value for name, value in read.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/png;base64,", "#section-")) for value in sources)
    image = next(value for value in sources if value.startswith("data:"))
    assert base64.b64decode(image.partition(",")[2]).startswith(b"\x89PNG")
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_same_values_give_the_same_page(page):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    again = Figure(figsize=(2, 1))
    again.subplots().plot([0, 1])
    assert picture(figure, "x") == picture(again, "x")
    assert [value for name, value in Reader(page).attributes if name == "open"] == [None]


def test_a_template_with_a_missing_value_is_refused():
    with pytest.raises(UndefinedError):
        render_asset("document.html.jinja", ("document.css",), title="x")
