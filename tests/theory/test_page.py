"""docs/theory.md and its figures are what the command writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.theory import figures, page

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")


def block(text, name):
    first, last = page.marks(name)
    return text.partition(first)[2].partition(last)[0].strip()


@pytest.mark.parametrize("name", [name for name in page.TABLES if name not in ("readings", "equivalences")])
def test_a_table_is_up_to_date(name):
    assert block(TEXT, name) == page.TABLES[name](), "run python -m tools.theory"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["readings", "equivalences"])
def test_a_long_table_is_up_to_date(name):
    assert block(TEXT, name) == page.TABLES[name](), "run python -m tools.theory"


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match=r"readings: expected the marks"):
        page.filled("# No marks\n")


@pytest.mark.slow
def test_figures_come_out_the_same_each_time(tmp_path):
    names = ("growth", "routing")
    for name in names:
        once, again = (figures.FIGURES[name]() for _ in range(2))
        lines = [[line.get_ydata().tolist() for ax in fig.axes for line in ax.lines] for fig in (once, again)]
        assert lines[0] == lines[1]
    assert all(len(line.get_ydata()) > 3 for ax in figures.access_figure().axes for line in ax.lines)
    shown = set(re.findall(r"images/theory-(\w+)\.svg", TEXT))
    assert shown == set(figures.FIGURES)
    for name in shown:
        assert (ROOT / "docs" / "images" / f"theory-{name}.svg").stat().st_size < 100_000
