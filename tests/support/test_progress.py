"""Progress: when a line is told, what a count knows, what a terminal shows."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from geomoe.support import progress
from geomoe.support.progress import Count, Progress


@pytest.fixture
def now(monkeypatch):
    clock = [50.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def told(now, steps, seconds, *, total=100, **options):
    lines = []
    tell = Progress(lines.append, lambda count: f"{count.done}", **options)
    for done in steps:
        now[0] += seconds
        tell(done, total)
    return lines


@pytest.mark.parametrize(
    ("steps", "seconds", "options", "expected"),
    [
        (range(0, 101, 5), 0.0, {"parts": 4}, ["25", "50", "75", "100"]),
        (range(0, 101, 5), 0.0, {"parts": 4, "at_once": True}, ["0", "25", "50", "75", "100"]),
        (range(0, 101, 20), 6.0, {"parts": 1}, ["20", "60", "100"]),  # every 12 s, and the end
        (range(0, 101, 20), 6.0, {"parts": 0}, ["20", "60", "100"]),
        (range(0, 101, 20), 6.0, {"parts": 0, "every": 20.0}, ["60"]),
        ([100], 0.0, {"parts": 1}, ["100"]),
        (range(0, 101, 5), 60.0, {"quiet": True}, []),
        (range(0, 101, 50), 11.0, {"total": None}, ["0", "50", "100"]),
        ([0], 0.0, {"total": 0, "at_once": True}, ["0"]),
    ],
)
def test_a_line_each_part_and_each_while(now, steps, seconds, options, expected):
    assert told(now, steps, seconds, **options) == expected


def test_another_piece_of_work_starts_the_clock_again(now):
    lines = []
    tell = Progress(lines.append, lambda count: f"{count.what} {count.rate:g} {count.left:g}", parts=2)
    for what, first in (("a", 0), ("b", 30)):
        for step in range(3):
            tell(first + 35 * step, 100, what)
            now[0] += 7
    assert lines == ["a 5 6", "b 5 7", "b 5 0"]


def test_a_count_in_words():
    assert Count(1024, 5000).of("images") == "1,024 of 5,000 images"
    assert Count(1024, None).of("bytes") == "1,024 bytes"
    assert Count(30, 100, first=10, seconds=4.0).rate == 5
    assert Count(30, 100, first=10, seconds=4.0).left == 14
    for unknown in (Count(30, None, seconds=4.0), Count(10, 100, first=10, seconds=4.0)):
        assert unknown.left != unknown.left


def test_a_terminal_has_a_bar_and_no_lines():
    screen, lines = io.StringIO(), []
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    line = lambda count: f"{count.what}: [{count.of('images')}]"  # noqa: E731
    with Progress(lines.append, line, console=console) as tell:
        for what in ("first", "second"):
            for done in range(0, 41, 10):
                tell(done, 40, what)
    assert lines == []
    shown = screen.getvalue()
    for words in ("first: [0 of 40 images]", "first: [40 of 40 images]", "second: [40 of 40 images]", "100%"):
        assert words in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back


def test_a_console_that_is_no_terminal_gets_lines():
    screen, lines = io.StringIO(), []
    with Progress(
        lines.append, lambda count: count.of("images"), parts=1, console=Console(file=screen)
    ) as tell:
        tell(3, 3)
    assert (lines, screen.getvalue()) == (["3 of 3 images"], "")


def test_rich_is_imported_for_a_bar_alone():
    code = (
        "import sys\nfrom geomoe.support.progress import Progress\n"
        "Progress(print, lambda count: count.of('images'))(5, 5)\n"
        "sys.exit('rich' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "5 of 5 images\n"), run.stderr
