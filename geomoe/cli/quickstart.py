"""``geomoe quickstart``: train a few methods with a short budget, compare them, and draw the map."""

from __future__ import annotations

import shlex
from argparse import Namespace

from geomoe.cli.console import Result, rows, say
from geomoe.cli.parsing import Parser, whole
from geomoe.config.limits import MOST_EPOCHS

_DESCRIPTION = """\
Train ERM, MoGE and other networks that read locations (encoding, FiLM, MLP, token) on the embedded
data (NASA Blue Marble crops, MODIS land cover) for a few epochs, judge each per region, and draw the
map of MoGE's experts. Minutes on two cores; if it is stopped, the same command
continues it. A short budget shows that everything works and what the results look like;
docs/results.md has those of a long one."""

_ELSEWHERE = "all methods are compared by:\n  geomoe bench bluemarble-methods --output DIR"
_EXAMPLE = "geomoe quickstart --output quickstart --epochs 8"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("quickstart", _DESCRIPTION, _EXAMPLE)
    made.add_argument(
        "--output", metavar="DIR", default="quickstart", help="folder of everything (default: quickstart)"
    )
    made.add_argument(
        "--epochs",
        type=whole(1, MOST_EPOCHS),
        metavar="N",
        default=8,
        help="passes over the data (default: 8)",
    )
    made.add_argument(
        "--step", type=float, default=0.5, metavar="DEGREES", help="cells of the map (default: 0.5)"
    )
    return made


def run(args: Namespace) -> Result:
    """Train, evaluate, compare and draw."""
    from geomoe.quickstart import QuickstartOptions, quickstart

    options = QuickstartOptions(
        epochs=args.epochs,
        step=args.step,
        command=args.command,
        quiet=args.quiet,
        tell=(lambda line: None) if args.quiet else (lambda line: say(f"geomoe: {line}")),
    )
    made = quickstart(args.output, options)
    comparison, drawn = made.comparison, made.drawn
    data = {"comparison": comparison.as_dict(), "checkpoints": made.checkpoints, "map": drawn.files}
    where = rows({"reports": made.reports, **made.checkpoints})
    return Result(data, f"{str(comparison).rstrip()}\n{_ELSEWHERE}\n\n{drawn.text()}\n\n{where}")


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """The command that resumes an interrupted quickstart."""
    return f"; go on with: {shlex.join(['geomoe', 'quickstart', *argv])}"
