"""The only place that writes to the terminal: results to stdout, messages to stderr."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.support.plain import jsonable
from geomoe.support.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

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
    text = json.dumps(jsonable(result.data), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write((text if as_json else result.text).rstrip("\n") + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Write one message to stderr."""
    sys.stderr.write(f"{message}\n")


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
    return "\n".join(f"{name:<{width}}  {_short(value)}".rstrip() for name, value in pairs.items())


def table_width() -> int:
    """Width of a table in columns: that of the terminal; 100 if there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.__stdout__ and sys.__stdout__.isatty() else 100


def _short(value: Any) -> str:  # noqa: ANN401 - any result
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Log:
    """Writes geomoe's log to stderr while a verb runs.

    Args:
        quiet: only warnings and errors.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.logger = logging.getLogger("geomoe")
        self.handler = logging.StreamHandler(sys.stderr)
        self.handler.setFormatter(logging.Formatter("geomoe: %(message)s"))

    def __enter__(self) -> None:
        """Start; the previous log level is restored at the end."""
        self.before = self.logger.level
        self.logger.setLevel(logging.WARNING if self.quiet else logging.INFO)
        self.logger.addHandler(self.handler)

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.before)


def reader_left() -> None:
    """Replace stdout after its reader has closed the pipe, so that the final flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
