"""The runs of a spec: rows, seeds, held-out domains and trials, each with a name and a configuration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from geomoe.bench.planning.rows import base_name, rows_of, slug, unused
from geomoe.bench.planning.search import draw, import_optuna
from geomoe.catalogue import BASELINE_METHOD
from geomoe.config.limits import MOST_RUNS
from geomoe.config.load import load
from geomoe.config.rules import refuse
from geomoe.errors import ConfigError
from geomoe.support.words import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geomoe.bench.planning.rows import Row
    from geomoe.bench.planning.spec import Spec
    from geomoe.config import RunConfig
    from geomoe.config.keys import Setting


class Run(NamedTuple):
    """One run: a row, a held-out domain, a seed and a trial."""

    label: str
    held_out: str | None
    seed: int
    trial: int

    @property
    def name(self) -> str:
        """Name of its folder, readable: ``moge-asia-seed0-trial0``."""
        target = [] if self.held_out is None else [slug(self.held_out)]
        return "-".join([self.label, *target, f"seed{self.seed}", f"trial{self.trial}"])

    @property
    def cell(self) -> tuple[str, str | None, int]:
        """Row label, held-out domain and seed, which all trials of one cell share."""
        return self.label, self.held_out, self.seed


@dataclass(frozen=True)
class Plan:
    """All runs of a spec, seed by seed, so that early tables have every row.

    Attributes:
        spec: the spec that is planned.
        output: folder of all runs and results.
        rows: label -> row.
        runs: all runs, in the order in which they are performed.
    """

    spec: Spec
    output: Path
    rows: dict[str, Row]
    runs: tuple[Run, ...]

    def folder(self, run: Run) -> Path:
        """Folder of a run."""
        row = self.rows[run.label]
        return self.output / "runs" / row.config.data.name / row.algorithm / run.name

    def known_before(self, run: Run) -> bool:
        """Whether a run's configuration does not depend on other runs."""
        return run.trial == 0 or self.spec.sampler == "random"

    def config(self, run: Run, drawn: Sequence[Setting] | None = None) -> RunConfig:
        """The configuration of a run.

        Args:
            run: one of :attr:`runs`.
            drawn: settings of its trial; None: those of the random sampler.

        Raises:
            ConfigError: the drawn values cannot be combined.
        """
        row = self.rows[run.label]
        config = row.config
        if run.trial:
            drawn = self.drawn(run) if drawn is None else drawn
            config = load(base_name(self.spec.data), flags=[*row.settings, *drawn])
        data = replace(config.data, held_out=run.held_out)
        if self.spec.split == "seed":
            data = replace(data, split_seed=run.seed)
        return replace(
            config, seed=run.seed, data=data, output=(self.output / "runs").as_posix(), run_name=run.name
        )

    def drawn(self, run: Run) -> list[Setting]:
        """The settings that the random sampler draws for a run; none for trial 0."""
        where = (run.label, run.held_out or "", run.seed, run.trial)
        return draw(self.rows[run.label].space, where) if run.trial else []


def make_plan(spec: Spec, output: Path) -> Plan:
    """Every run of a spec, with a checked configuration; only configurations are read, nothing is written.

    Raises:
        ConfigError: lists every fault: settings that cannot be combined, rows with the same label or folder,
            a baseline that is no row, twins that cannot be made.
        DependencyNotFoundError: the package of the sampler is not installed.
    """
    faults = list(unused(spec))
    if spec.sampler == "optuna" and spec.trials > 1:
        import_optuna()
    rows = [row for algorithm in spec.algorithms for row in rows_of(spec, algorithm, faults)]
    refuse(faults)
    if spec.twins:
        from geomoe.bench.planning.twin_rows import twin_rows  # needs torch

        rows += twin_rows(spec, rows)
    faults += _same_labels(rows)
    labels = {row.label: row for row in rows}
    known = dict.fromkeys([*labels, *(row.family for row in rows)])
    if spec.baseline is not None and spec.baseline not in known:
        faults.append(f"{unknown('baseline', 'row', spec.baseline, list(known))} ({spec.source})")
    refuse(faults)
    trials = sum(spec.trials if row.space else 1 for row in rows)
    count = trials * len(spec.seeds) * len(spec.held_out)
    if count > MOST_RUNS:
        msg = f"{spec.source}: rows, seeds, held-out domains and trials make {count:,} runs"
        raise ConfigError(f"{msg}; a bench has at most {MOST_RUNS:,}")
    runs = [
        Run(row.label, held_out, seed, trial)
        for seed, trial, held_out, row in itertools.product(
            spec.seeds, range(spec.trials), spec.held_out, rows
        )
        if trial == 0 or row.space
    ]
    plan = Plan(spec, output, labels, tuple(runs))
    _refuse_collisions(plan)
    return plan


def baseline_of(plan: Plan) -> str | None:
    """Label of the row that others are compared with: that of the spec, else the first ERM algorithm's."""
    if plan.spec.baseline is not None:
        return plan.spec.baseline
    erm = (row.family for row in plan.rows.values() if row.algorithm == BASELINE_METHOD and row.twin is None)
    return next(erm, None)


def base_row(plan: Plan, row: Row) -> Row | None:
    """The row that a row is compared with: the baseline on the same data; None if there is none."""
    name = baseline_of(plan)
    same = [one for one in plan.rows.values() if one.point == row.point and one.twin is None]
    return next((one for one in same if name in (one.label, one.family)), None)


def _same_labels(rows: Sequence[Row]) -> Iterator[str]:
    seen: dict[str, Row] = {}
    for row in rows:
        twin = seen.setdefault(row.label.casefold(), row)
        if twin is not row:
            yield f"algorithms: two rows would be called {row.label}; give one of them another label"


def _refuse_collisions(plan: Plan) -> None:
    seen: dict[str, Run] = {}
    for run in plan.runs:
        twin = seen.setdefault(plan.folder(run).as_posix().casefold(), run)
        if twin is not run:
            what = f"{_said(twin)} and {_said(run)} would both lie in {plan.folder(run)}"
            raise ConfigError(f"{plan.spec.source}: {what}; rename one, or bench them with another --output")


def _said(run: Run) -> str:
    return f"{run.label} (held out {run.held_out}, seed {run.seed}, trial {run.trial})"
