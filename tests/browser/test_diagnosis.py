"""The page of a diagnosis in a real browser: all of it shows, nothing is asked for, tables unfold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from geomoe.pages.document import Section, Text, Warned, bitmap, listing, render_document

pytestmark = pytest.mark.browser

_spec = importlib.util.spec_from_file_location("test_page", Path(__file__).with_name("test_page.py"))
_other = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_other)
check_quiet, HOSTILE = _other.check_quiet, _other.HOSTILE


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([0, 1])
    wide = [[f"row {row}", *(f"{row}.{column}" for column in range(40))] for row in range(30)]
    parts = (
        Text(HOSTILE),
        Warned("A:", HOSTILE),
        bitmap(figure, HOSTILE),
        listing("open", ("", "a"), [["x", "1"]], open=True),
        listing("folded", ("", *map(str, range(40))), wide),
    )
    page = tmp_path_factory.mktemp("document") / "page.html"
    sections = [Section("First", parts=parts), Section(HOSTILE, parts=parts)]
    page.write_text(render_document("A diagnosis", [("data", HOSTILE)], sections), encoding="utf-8")
    return page


@pytest.fixture
def page(browser, path):
    browser.open(path)
    return browser


def test_the_page_is_quiet_and_complete(page, path):
    check_quiet(page, path)
    assert page.find("h1").text == "A diagnosis"
    assert page.run("return [...document.images].every(one => one.complete && one.naturalWidth > 100)")
    assert page.find(".warning").text == f"A: {HOSTILE}"
    assert page.run("return document.scripts.length") == 0


def test_tables_unfold_and_scroll_inside(page):
    listing = page.find_all("details")[1]
    assert not listing.find_element("css selector", "td").is_displayed()
    listing.find_element("css selector", "summary").click()
    assert listing.find_element("css selector", "td").is_displayed()
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    inner = page.run(
        "const box = document.querySelectorAll('.wide')[1]; return box.scrollWidth > box.clientWidth"
    )
    assert inner


def test_links_lead_to_the_sections(page):
    page.find_all("nav a")[1].click()
    assert page.run("return location.hash") == "#section-2"
    assert page.run("return document.querySelector('#section-2 h2').textContent") == HOSTILE
