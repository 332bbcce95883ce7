"""Every link of every page leads to a file, or to a heading, that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "maps/README.md", *(ROOT / "docs").rglob("*.md")])
MENTION = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def anchors(path):
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in found}


def broken(target, base):
    """What is wrong with a link, None where nothing is."""
    file, _, anchor = target.partition("#")
    path = (base / file).resolve()
    if not path.exists():
        return f"{target}: no such file"
    if anchor and anchor not in anchors(path):
        return f"{target}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    own = [f"{page.name}{link}" if link.startswith("#") else link for link in links]
    assert [found for found in (broken(link, page.parent) for link in own) if found] == []


def test_pages_that_code_and_configurations_mention():
    files = [
        *(ROOT / "geomoe").rglob("*.py"),
        *(ROOT / "configs").glob("*.yaml"),
        *(ROOT / "tools").glob("*.py"),
    ]
    found = {
        (name_of(file), link) for file in files for link in MENTION.findall(file.read_text(encoding="utf-8"))
    }
    assert len(found) > 20
    assert [(file, broken(link, ROOT)) for file, link in sorted(found) if broken(link, ROOT)] == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A head, and `more`\n\n```\n# no head\n```\n", encoding="utf-8")
    assert broken("page.md#a-head-and-more", tmp_path) is None
    assert broken("page.md#no-head", tmp_path) == "page.md#no-head: no such heading"
    assert broken("pages.md", tmp_path) == "pages.md: no such file"
