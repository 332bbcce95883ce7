"""Train, evaluate and compare a few methods on a short budget, and map MoGE's experts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from geomoe.catalogue import METHODS
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.coords import make_grid
from geomoe.support.files import check_folder, no_empty_folders, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from geomoe.config import RunConfig
    from geomoe.evaluation import Comparison
    from geomoe.mapping import MapResult

SHOWN = tuple(name for name, entry in METHODS.items() if entry.quickstart)
MAPPED = next(name for name in SHOWN if METHODS[name].experts)
_STEPS = len(SHOWN) + 2


@dataclass(frozen=True, kw_only=True)
class QuickstartOptions:
    """Options of a quickstart.

    Args:
        epochs: passes over the data.
        step: side in degrees of a cell of the map.
        command: the command that was given; stored in each run's run.json.
        quiet: whether to show no progress on stderr.
        tell: called with one line before each step.
    """

    epochs: int = 8
    step: float = 0.5
    command: Sequence[str] | None = None
    quiet: bool = False
    tell: Callable[[str], None] = field(default=lambda line: None)


class QuickstartResult(NamedTuple):
    """The results of a quickstart.

    Attributes:
        comparison: comparison of the methods on the test split.
        checkpoints: method -> the checkpoint that validation selected.
        reports: folder of the reports.
        drawn: the map of MoGE's experts.
    """

    comparison: Comparison
    checkpoints: dict[str, Path]
    reports: Path
    drawn: MapResult


def quickstart(output: str | PathLike[str], options: QuickstartOptions | None = None) -> QuickstartResult:
    """Train, evaluate and compare the methods, and draw the map; a second call resumes an interrupted one.

    Args:
        output: folder of all results; made if it does not exist.
        options: number of epochs, and further options.

    Raises:
        CoordinateError: a step that makes no grid.
        OutputError: the folder cannot be written.
        DependencyNotFoundError: the extra that holds the embedded data's image is not installed.
    """
    asked = options or QuickstartOptions()
    make_grid(asked.step)  # refuses what makes no grid before hours of training
    with no_empty_folders(output):
        folder = check_folder(output)
        checkpoints = _train(folder, asked)
        comparison = _judge(folder, checkpoints, asked)
        from geomoe.mapping import map_experts

        asked.tell(f"{_STEPS}/{_STEPS} drawing the map of {MAPPED}")
        drawn = map_experts(checkpoints[MAPPED], folder / "map", step=asked.step)
    return QuickstartResult(comparison, checkpoints, folder / "evaluation", drawn)


def configuration(method: str, epochs: int, output: Path) -> RunConfig:
    """One method's configuration; each budget has its own folder, so that their runs do not mix."""
    settings = {
        "algorithm": method,
        "trainer.max_epochs": epochs,
        "output": str(output / "runs"),
        "run_name": f"{epochs}-epochs",
    }
    return load("bluemarble", flags=[Setting(key, value, "quickstart") for key, value in settings.items()])


def _train(folder: Path, asked: QuickstartOptions) -> dict[str, Path]:
    """Train or resume each method whose run has not ended; return the selected checkpoints."""
    configs = {method: configuration(method, asked.epochs, folder) for method in SHOWN}
    from geomoe.training import fit, run_folder

    found = {}
    for number, (method, config) in enumerate(configs.items(), start=1):
        asked.tell(f"{number}/{_STEPS} training {method}, epochs: {asked.epochs}")
        run = run_folder(config)
        if run.done.exists():
            found[method] = run.best
            continue
        result = fit(config, resume=run.path.exists(), command=asked.command, quiet=asked.quiet)
        found[method] = result.best
    return found


def _judge(folder: Path, checkpoints: dict[str, Path], asked: QuickstartOptions) -> Comparison:
    """Write a report of each checkpoint, and comparison.json."""
    from geomoe.evaluation import compare, evaluate

    asked.tell(f"{_STEPS - 1}/{_STEPS} judging them on the test split")
    reports = {method: evaluate(path) for method, path in checkpoints.items()}
    for method, report in reports.items():
        report.save(folder / "evaluation" / method)
    comparison = compare(reports)
    text = json.dumps(comparison.as_dict(), indent=1, allow_nan=False) + "\n"
    with whole_file(folder / "comparison.json") as scratch:
        scratch.write_text(text, encoding="utf-8")
    return comparison
