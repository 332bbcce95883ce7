"""``geomoe bench``: compare methods under one budget."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.cli.console import Result, table_width
from geomoe.cli.parsing import Parser, UsageError, number, whole
from geomoe.config.limits import MOST_SILENCE, MOST_WORKERS
from geomoe.support.text import counted

if TYPE_CHECKING:
    from geomoe.bench.planning.plan import Plan
    from geomoe.bench.results.values import Results

_DESCRIPTION = """\
Compare methods on the same data with the same updates, images, trials and selection rule. Every run is a
normal run of geomoe train, judged as by geomoe evaluate; finished runs are skipped, interrupted ones go on,
and several workers or machines may share one output. Flags override the keys of SPEC (docs/bench.md)."""

_EXAMPLE = "geomoe bench --data bluemarble --algorithms erm,moge --seeds 3 --budget 1000 --output bench"


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _seeds(text: str) -> Any:  # noqa: ANN401 - a number, or a list; the spec says what is wrong with it
    parts = _names(text)
    if all(part.isdecimal() for part in parts):
        return int(parts[0]) if len(parts) == 1 else [int(part) for part in parts]
    return text


_KEYS: tuple[tuple[str, str, Any, str], ...] = (
    ("--data", "NAME", str, "shipped configuration or data set"),
    ("--algorithms", "A,B,...", _names, "methods, or all"),
    ("--seeds", "N|A,B,...", _seeds, "how many, or which, with commas (default: 3)"),
    ("--budget", "STEPS", int, "updates of each run"),
    ("--held-out", "A,B,...", _names, "domains left out, one run for each; or each"),
    ("--trials", "N", int, "configurations tried for each run (default: 1)"),
    ("--sampler", "NAME", str, "random (default) or optuna"),
    ("--score", "NAME", str, "accuracy, worst, worst_class, macro_f1: what ranks (default: the data's own)"),
    ("--selection", "RULE", str, "accuracy, mean, worst, macro_f1 or last (default: the data's own)"),
    ("--twins", "A,B", _names, "dense twins: parameters, flops"),
    ("--baseline", "LABEL", str, "row that the others are compared with (default: ERM)"),
    ("--bootstrap", "N", int, "resamples of each interval (default: 1000)"),
)


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("bench", _DESCRIPTION, _EXAMPLE)
    made.add_argument(
        "spec", metavar="SPEC", nargs="?", help="YAML file that says what to compare, or a shipped one"
    )
    made.add_argument("--output", metavar="DIR", help="folder of all runs and results")
    for flag, metavar, kind, text in _KEYS:
        made.add_argument(flag, metavar=metavar, type=kind, help=text)
    made.add_argument("--data-root", metavar="DIR", help="folder of the data: --set data.root=DIR")
    made.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a configuration key of every run"
    )
    made.add_argument(
        "--workers", metavar="N", type=whole(1, MOST_WORKERS), help="processes of this machine (default: 1)"
    )
    made.add_argument(
        "--stale",
        metavar="SECONDS",
        type=number(0.001, MOST_SILENCE),
        default=120.0,
        help="time without a sign of life after which a run is taken over",
    )
    switches = {
        "--retry-failed": "try failed runs again",
        "--table-only": "train nothing; write the results of what is there",
        "--safe-csv": "quote cells of table.csv that a spreadsheet takes for formulas",
        "--dry-run": "list the runs and check their configurations",
        "--as-worker": "for geomoe itself: read the work from standard input",
    }
    for flag, text in switches.items():
        made.add_argument(flag, action="store_true", help=text)
    return made


def run(args: Namespace) -> Result:
    """Plan, run, and print the table."""
    if args.as_worker:
        from geomoe.bench.run import work_as_told

        work_as_told(json.loads(sys.stdin.read()))
        return Result(None, "")
    from geomoe.bench.planning.plan import make_plan
    from geomoe.bench.planning.spec import read_spec

    if args.output is None and not args.dry_run:
        raise UsageError("--output: give the folder of all runs and results; see geomoe bench --help")
    spec = read_spec(_file(args.spec), _given(args))
    if args.dry_run:
        return _listed(make_plan(spec, Path(args.output or "bench")))
    from geomoe.bench.run import bench

    result = bench(
        spec,
        args.output,
        workers=args.workers,
        retry_failed=args.retry_failed,
        table_only=args.table_only,
        stale=args.stale,
        command=tuple(args.command),
        quiet=args.quiet,
        safe_csv=args.safe_csv,
    )
    status = 0 if result.complete or args.table_only else 1
    return Result(result.results.as_dict(), _text(result.results, result.files), status)


def _file(name: str | None) -> Path | None:
    """A file, or a shipped spec by its name."""
    if name is None or Path(name).exists():
        return None if name is None else Path(name)
    from geomoe.bench.planning.shipped import shipped_specs
    from geomoe.support.words import unknown

    known = shipped_specs()
    if name in known:
        return known[name]
    raise UsageError(unknown("SPEC", "file or shipped spec", name, list(known)))


def _given(args: Namespace) -> dict[str, Any]:
    """The keys of the spec that flags give."""
    names = [flag.removeprefix("--").replace("-", "_") for flag, *_ in _KEYS]
    found = {name: getattr(args, name) for name in names}
    given = {name: value for name, value in found.items() if value is not None}
    for name in ("algorithms", "held_out"):
        if given.get(name) in (["all"], ["each"]):
            given[name] = given[name][0]
    settings = [*args.set, *([f"data.root={args.data_root}"] if args.data_root else [])]
    return {**given, **({"flags": settings} if settings else {})}


def _listed(plan: Plan) -> Result:
    """The runs, after a check of the drawn values, whose combinations may be invalid."""
    runs, lines = [], []
    for one in plan.runs:
        drawn = {key.key: key.value for key in plan.drawn(one)} if plan.known_before(one) else {}
        if plan.known_before(one):
            plan.config(one)
        runs.append({"run": one.name, "folder": plan.folder(one), "drawn": drawn})
        values = " ".join(f"{key}={value}" for key, value in drawn.items())
        lines.append(f"{plan.folder(one)}  {values}".rstrip())
    count = f"{counted(len(runs), 'run')} of {counted(plan.spec.budget, 'update')}"
    head = f"{count}; rows: {', '.join(plan.rows)}"
    return Result({"runs": runs, "rows": list(plan.rows)}, "\n".join([head, *lines]))


def _text(results: Results, files: tuple[Path, ...]) -> str:
    from geomoe.bench.results.text import results_text

    return results_text(results, table_width()) + "\n" + "\n".join(map(str, files))


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """The command that continues an interrupted bench."""
    return "" if args.dry_run or args.as_worker else f"; go on with: {shlex.join(['geomoe', 'bench', *argv])}"
