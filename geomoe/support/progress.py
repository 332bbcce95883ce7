"""Progress of long work: a bar on a terminal, an occasional line elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from geomoe.support.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

REFRESH = 0.2  # seconds between two updates of a bar


class Count(NamedTuple):
    """The progress of a piece of work.

    Attributes:
        done: number of items done.
        total: number of all items; None: unknown.
        what: name of the piece of work; the clock starts again with each.
        note: further words to print.
        first: number of items that were done when the clock started.
        seconds: seconds since the clock started.
    """

    done: int
    total: int | None
    what: str = ""
    note: str = ""
    first: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Items per second."""
        return (self.done - self.first) / max(self.seconds, 1e-3)

    @property
    def left(self) -> float:
        """Estimated seconds for the rest at the present speed; NaN where this is unknown."""
        if self.total is None or self.done <= self.first:
            return float("nan")
        return (self.total - self.done) * self.seconds / (self.done - self.first)

    def of(self, unit: str) -> str:
        """The count in words, such as ``1,024 of 5,000 images``."""
        return (
            f"{self.done:,} of {self.total:,} {unit}" if self.total is not None else f"{self.done:,} {unit}"
        )


class Progress:
    """Reports progress; call it with the number done and the total.

    Args:
        say: function that prints a line; used where there is no bar.
        line: function that puts a count into words.
        parts: number of equal parts of the work; a line is printed when each of them is done; 0: no such
            lines.
        every: seconds without a line after which one is printed in any case.
        at_once: whether the first call always prints a line.
        console: where to draw a bar if it is a terminal; None: no bar.
        quiet: whether to print nothing.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        line: Callable[[Count], str],
        *,
        parts: int = 20,
        every: float = 10.0,
        at_once: bool = False,
        console: Console | None = None,
        quiet: bool = False,
    ) -> None:
        self._say, self._line, self._quiet = say, line, quiet
        self._parts, self._every, self._at_once = parts, every, at_once
        self._console = console if console is not None and console.is_terminal and not quiet else None
        self._bar: Any = None
        self._task: Any = None
        self.start()

    def start(self, what: str = "", first: int = 0) -> None:
        """Start the clock, for the whole work or for a piece of it of which ``first`` items are done."""
        self._count = Count(first, None, what, first=first)
        self._begun = self._told = time.monotonic()
        self._part = -1 if self._at_once else 0

    @property
    def seconds(self) -> float:
        """Seconds since the clock started."""
        return time.monotonic() - self._begun

    def __enter__(self) -> Self:
        """Start the clock."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the bar on the screen."""
        self.close()

    def __call__(self, done: int, total: int | None, what: str = "", note: str = "") -> None:
        """Report the progress: update the bar, or print a line if one is due."""
        if what != self._count.what:
            self.start(what, done)
        now = time.monotonic()
        self._count = Count(done, total, what, note, self._count.first, now - self._begun)
        part = self._parts * done // max(total, 1) if total is not None else 0
        drawn = self._console is not None
        due = now - self._told > (REFRESH if drawn else self._every)
        if due or part > self._part or (drawn and self._bar is None):
            self._part = part
            self.tell()

    def tell(self) -> None:
        """Draw or print the progress now."""
        self._told = time.monotonic()
        if self._console is not None:
            self._draw(self._console)
        elif not self._quiet:
            self._say(visible(self._line(self._count)))

    def close(self) -> None:
        """Leave the bar on the screen and restore the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, console: Console) -> None:
        count = self._count
        if self._bar is None:
            self._bar = open_bar(console)
            self._task = self._bar.add_task("", total=count.total, what=count.what)
        elif self._bar.tasks[-1].fields["what"] != count.what:
            self._task = self._bar.add_task("", total=count.total, what=count.what)
        self._bar.update(
            self._task,
            completed=count.done,
            total=count.total,
            description=visible(self._line(count)),
            refresh=True,
        )


def open_bar(console: Console) -> Any:  # noqa: ANN401 - of rich, which is imported only where a bar is drawn
    """Show a bar with the share that is done, the time left, and words."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.description}", markup=False)
    time_left = TimeRemainingColumn(elapsed_when_finished=True)
    bar = Progress(BarColumn(24), TaskProgressColumn(), time_left, words, console=console, auto_refresh=False)
    bar.start()
    return bar
