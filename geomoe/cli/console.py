"""The only place that writes to the terminal: results to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.support.plain import jsonable
from geomoe.support.progress import Progress
from geomoe.support.text import encodable, visible, visible_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from geomoe.support.progress import Count


class Result(NamedTuple):
    """The result of a verb.

    Attributes:
        data: values that ``--json`` prints.
        text: text for people.
        status: exit status: 0, or 1 for a failed run.
    """

    data: Any
    text: str
    status: int = 0


def show(result: Result, *, as_json: bool) -> None:
    """Write a result to stdout, except in helper processes of a run, which have none."""
    if result.data is None:
        return
    if not as_json:
        write(result.text)
        return
    text = json.dumps(jsonable(result.data), indent=2, ensure_ascii=False, allow_nan=False)
    write(text, as_json=True)


def write(text: str, *, as_json: bool = False) -> None:
    """Write to stdout in its encoding; a pipe that the reader has closed is no error.

    Raises:
        OSError: stdout is a file that cannot be written.
    """
    stream = sys.stdout
    safe = visible_json(text) if as_json else visible(text, lines=True)
    try:
        stream.write(encodable(safe.rstrip("\n"), stream.encoding, json=as_json) + "\n")
        stream.flush()
    except BrokenPipeError:  # `geomoe ... | head`
        _silence(stream)


def say(message: str, *, lines: bool = False) -> None:
    """Write one message to stderr; if stderr is closed, the message is lost and the work continues.

    Args:
        message: the message; without ``lines``, line breaks in it are written as escapes.
        lines: whether the message has several lines.
    """
    try:
        safe = encodable(visible(message, lines=lines), sys.stderr.encoding)
        sys.stderr.write(f"{safe}\n")
        sys.stderr.flush()
    except OSError:  # not ours: see streams
        _silence(sys.stderr)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Make stdin, stdout and stderr usable, whatever was done to them at the start (``>&-``, ``| head -1``).

    A closed stream is connected to the null device. Otherwise the next file that is opened would get its
    number, and with it what libraries print. What stderr no longer accepts is lost, and the work continues.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # a process opens files in the lowest number that is free: this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    before = sys.stdout, sys.stderr
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(_Messages(), encoding, "backslashreplace", write_through=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Messages(io.RawIOBase):
    """The stderr of this process; output to a closed stderr is lost."""

    def writable(self) -> bool:
        """Always true."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Write all the data, or drop it if stderr is closed."""
        raw = memoryview(data).cast("B")
        at = 0
        with contextlib.suppress(OSError):
            while at < len(raw):
                at += os.write(2, raw[at:])
        return len(raw)

    def fileno(self) -> int:
        """The file number of stderr."""
        return 2

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(2)


def _silence(stream: TextIO) -> None:
    """Connect a stream with a closed pipe to the null device, so that the last flush does not fail."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # no file of the system's
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)


def progress(
    line: Callable[[Count], str], *, quiet: bool, parts: int = 20, at_once: bool = False
) -> Progress:
    """Progress of a verb on stderr: see :class:`geomoe.support.progress.Progress`."""
    console = None
    if not quiet and sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
    return Progress(
        lambda text: say(f"geomoe: {text}"), line, parts=parts, at_once=at_once, console=console, quiet=quiet
    )


def rows(pairs: Mapping[str, Any]) -> str:
    """Names and values, one pair per line, aligned."""
    width = max(map(len, pairs), default=0)
    return "\n".join(visible(f"{name:<{width}}  {_short(value)}".rstrip()) for name, value in pairs.items())


def table_width() -> int:
    """Width of a table in columns: that of the terminal; 100 if there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.__stdout__ and sys.__stdout__.isatty() else 100


def _short(value: Any) -> str:  # noqa: ANN401 - any result
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextlib.contextmanager
def only_errors_of_others() -> Iterator[None]:
    """Keep the logged warnings of other packages from stderr; errors still show.

    They have no handler, so Python writes them there: matplotlib's, for example, where the home is read-only.
    """
    before, logging.lastResort = logging.lastResort, logging.StreamHandler()
    logging.lastResort.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.lastResort = before


class _Lines(logging.Handler):
    """Each message of the log as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record to stderr."""
        say(f"geomoe: {record.getMessage()}")


class Log:
    """Writes geomoe's log to stderr while a verb runs.

    Args:
        quiet: only warnings and errors.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.logger = logging.getLogger("geomoe")
        self.handler = _Lines()

    def __enter__(self) -> None:
        """Start; the previous log level is restored at the end."""
        self.before = self.logger.level
        self.logger.setLevel(logging.WARNING if self.quiet else logging.INFO)
        self.logger.addHandler(self.handler)

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.before)
