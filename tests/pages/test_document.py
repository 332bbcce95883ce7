"""A page without scripts: text is escaped, links are relative, nothing is fetched."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from geomoe.pages.document import Cell, Section, Table, render_document
from geomoe.pages.drawing import drawing

HOSTILE = "</td><script>alert(1)</script>&\"'"


def table(link):
    return Table((HOSTILE, "b"), ((Cell(HOSTILE, link), Cell("1", best=True)),), note=HOSTILE, anchor="here")


def test_text_is_text():
    made = drawing("<svg xmlns='http://www.w3.org/2000/svg'><g id='a'/></svg>", HOSTILE, {"a": HOSTILE})
    section = Section(HOSTILE, (HOSTILE,), (table("runs/a b/"), made))
    page = render_document(HOSTILE, [(HOSTILE, HOSTILE)], [section])
    assert "<script" not in page
    assert page.count("alert(1)") == 11
    assert 'href="runs/a b/"' in page
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    body = page[page.index("<main>") : page.index("</main>") + 7]
    found = ElementTree.fromstring(re.sub(r"<img ([^>]*?) ?/?>", r"<img \1/>", body))
    assert [cell.get("class") for cell in found.iter("td")] == [None, "best"]


@pytest.mark.parametrize(
    "link", ["https://example.org/", "javascript:alert(1)", "//example.org", "/etc", "\\\\host"]
)
def test_links_that_lead_elsewhere_are_refused(link):
    with pytest.raises(ValueError, match="relative links"):
        render_document("x", [], [Section("y", parts=(table(link),))])


def test_links_within_the_page_and_to_names_with_a_colon():
    page = render_document("x", [], [Section("y", parts=(table("#here"), table("runs/a:b/")))])
    assert 'id="here"' in page
    assert 'href="#here"' in page
