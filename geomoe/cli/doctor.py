"""``geomoe doctor``: report what is installed, found and writable on this machine."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from geomoe.cli.console import Result
from geomoe.cli.parsing import Parser

_DESCRIPTION = """\
Report what is installed, which device would be used, which data and weights are found, whether this
machine is kept offline, and whether output can be written. Nothing is downloaded or written."""

_EXAMPLE = "geomoe doctor --json"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("doctor", _DESCRIPTION, _EXAMPLE)
    made.add_argument("--output", metavar="DIR", default="runs", help="folder that runs would be written to")
    return made


def run(args: Namespace) -> Result:
    """Check everything; status 1 if something that every run needs is missing."""
    from geomoe.doctor import look

    facts, problems = look(args.output)
    return Result({**facts, "problems": problems}, _text(facts, problems), status=1 if problems else 0)


def _text(facts: dict[str, dict[str, Any]], problems: list[str]) -> str:
    lines = []
    for part, values in facts.items():
        lines.append(part)
        for name, value in values.items():
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
            lines.append(f"  {name:<15} {'not installed' if shown is None else shown}")
    lines.append("problems" if problems else "no problems found")
    return "\n".join([*lines, *(f"  {problem}" for problem in problems)])
