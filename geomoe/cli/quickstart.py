"""``geomoe quickstart``: the three methods on a short budget, the comparison, the map."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.cli.console import Result, plain, rows, say
from geomoe.cli.map_experts import text_of
from geomoe.cli.parsing import Parser, positive_int
from geomoe.support.files import check_folder, no_empty_folders, whole_file

if TYPE_CHECKING:
    from geomoe.config import RunConfig

METHODS = ("erm", "erm_le", "moge")

_DESCRIPTION = """\
Train ERM, ERM + location encoding and MoGE on the embedded data (NASA Blue Marble crops, MODIS
land cover) for a few epochs, judge each per region, and draw the map of MoGE's experts. Minutes on
two cores; stopped, the same command goes on where it was. A short budget shows that everything
works and what comes out; docs/results.md has the long one."""

_EXAMPLE = "geomoe quickstart --output quickstart --epochs 8"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("quickstart", _DESCRIPTION, _EXAMPLE)
    made.add_argument(
        "--output", metavar="DIR", default="quickstart", help="folder of everything (default: quickstart)"
    )
    made.add_argument(
        "--epochs", type=positive_int, metavar="N", default=8, help="passes over the data (default: 8)"
    )
    made.add_argument(
        "--step", type=float, default=0.5, metavar="DEGREES", help="cells of the map (default: 0.5)"
    )
    return made


def run(args: Namespace) -> Result:
    """Train, judge, compare, draw."""
    with no_empty_folders(args.output):
        return _run(args, check_folder(args.output))


def _run(args: Namespace, output: Path) -> Result:
    configs = {method: configuration(method, args.epochs, output) for method in METHODS}
    from geomoe.evaluation import compare, evaluate
    from geomoe.mapping import map_experts

    tell = (lambda message: None) if args.quiet else say
    checkpoints = {}
    for number, (method, config) in enumerate(configs.items(), start=1):
        tell(f"geomoe: {number}/5 training {method}, epochs: {args.epochs}")
        checkpoints[method] = train(config, command=args.command, quiet=args.quiet)
    tell("geomoe: 4/5 judging the three on the test split")
    reports = {method: evaluate(path) for method, path in checkpoints.items()}
    for method, report in reports.items():
        report.save(output / "evaluation" / method)
    comparison = compare(reports)
    with whole_file(output / "comparison.json") as scratch:
        scratch.write_text(json.dumps(plain(comparison.as_dict()), indent=1) + "\n", encoding="utf-8")
    tell("geomoe: 5/5 drawing the map of moge")
    drawn = map_experts(checkpoints["moge"], output / "map", args.step)
    data = {"comparison": comparison.as_dict(), "checkpoints": checkpoints, "map": drawn.files}
    made = {"reports": output / "evaluation", **checkpoints}
    return Result(data, f"{str(comparison).rstrip()}\n\n{text_of(drawn)}\n\n{rows(made)}")


def configuration(method: str, epochs: int, output: Path) -> RunConfig:
    """One method's configuration; a folder of its own for each budget, so that budgets do not mix."""
    from geomoe.config.keys import Setting
    from geomoe.config.load import load

    settings = {
        "algorithm": method,
        "trainer.max_epochs": epochs,
        "output": str(output / "runs"),
        "run_name": f"{epochs}-epochs",
    }
    return load("bluemarble", flags=[Setting(key, value, "quickstart") for key, value in settings.items()])


def train(config: RunConfig, *, command: list[str], quiet: bool) -> Path:
    """Train, or go on, or do nothing when the run has ended; the selected checkpoint."""
    from geomoe.training import fit, run_folder

    folder = run_folder(config)
    if folder.done.exists():
        return folder.best
    result = fit(config, resume=folder.path.exists(), command=command, quiet=quiet)
    return result.best


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """How an interrupted quickstart is taken up again."""
    return f"; go on with: {shlex.join(['geomoe', 'quickstart', *argv])}"
