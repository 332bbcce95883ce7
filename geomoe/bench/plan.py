"""The runs of a spec: rows, seeds, held-out domains and trials, each with a name and a configuration."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.bench.search import default_space, draw, import_optuna
from geomoe.bench.spec import SELECTED_BY, Twin, data_set_of
from geomoe.catalogue import BASELINE_METHOD, METHODS
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.methods import options_of
from geomoe.config.rules import refuse
from geomoe.config.shipped import shipped
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geomoe.bench.search import Space
    from geomoe.bench.spec import Algorithm, Spec
    from geomoe.config import RunConfig

LOGGERS = ("csv",)


@dataclass(frozen=True)
class Row:
    """What is compared: one line of the tables.

    Attributes:
        label: printed name.
        algorithm: training method.
        config: its configuration, with the first seed and the first held-out domain.
        settings: what that is made from, over the shipped configuration.
        space: what is searched.
        twin: what a dense twin has as much of; None: it is none.
        of: labels of the rows that it is a twin of.
    """

    label: str
    algorithm: str
    config: RunConfig
    settings: tuple[Setting, ...]
    space: Space
    twin: Twin | None = None
    of: tuple[str, ...] = ()


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
        """What its trials have in common."""
        return self.label, self.held_out, self.seed


@dataclass(frozen=True)
class Plan:
    """All runs of a spec, seed by seed, so that early tables have every row.

    Attributes:
        spec: what it is the plan of.
        output: folder of everything.
        rows: by label.
        runs: in the order in which they are done.
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
            config = load(_shipped(self.spec.data), flags=[*row.settings, *drawn])
        data = replace(config.data, held_out=run.held_out)
        if self.spec.split == "seed":
            data = replace(data, split_seed=run.seed)
        return replace(
            config, seed=run.seed, data=data, output=(self.output / "runs").as_posix(), run_name=run.name
        )

    def drawn(self, run: Run) -> list[Setting]:
        """What the random sampler draws for a run; nothing for trial 0."""
        where = (run.label, run.held_out or "", run.seed, run.trial)
        return draw(self.rows[run.label].space, where) if run.trial else []


def make_plan(spec: Spec, output: Path) -> Plan:
    """Every run of a spec, with its configuration checked; nothing is read or written but configurations.

    Raises:
        ConfigError: lists every fault: settings that cannot be combined, rows that collide, a baseline that
            is no row, twins that cannot be made.
        DependencyNotFoundError: the sampler is not installed.
    """
    faults: list[str] = []
    if spec.sampler == "optuna" and spec.trials > 1:
        import_optuna()
    rows = [row for algorithm in spec.algorithms for row in _rows(spec, algorithm, faults)]
    refuse(faults)
    if spec.twins:
        from geomoe.bench.twins import twin_rows  # needs torch

        rows += twin_rows(spec, rows)
    faults += _same_labels(rows)
    labels = {row.label: row for row in rows}
    if spec.baseline is not None and spec.baseline not in labels:
        faults.append(f"baseline: no row {spec.baseline!r} (rows: {', '.join(labels)}) ({spec.source})")
    refuse(faults)
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
    """Label of the row that others are compared with: as the spec says, else the first that trains ERM."""
    if plan.spec.baseline is not None:
        return plan.spec.baseline
    erm = (row.label for row in plan.rows.values() if row.algorithm == BASELINE_METHOD and row.twin is None)
    return next(erm, None)


def _rows(spec: Spec, algorithm: Algorithm, faults: list[str]) -> Iterator[Row]:
    in_use = (algorithm.name, *algorithm.around)
    grid = {key: some for key, some in {**spec.grid, **algorithm.grid}.items() if _applies(key, in_use)}
    shorts = _shorts(grid)
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        label = "-".join(
            [algorithm.label, *(f"{shorts[key]}{_text(value)}" for key, value in chosen.items())]
        )
        row = make_row(spec, label, algorithm, chosen, faults)
        if row is not None:
            yield row


def make_row(
    spec: Spec, label: str, algorithm: Algorithm, chosen: Mapping[str, Any], faults: list[str]
) -> Row | None:
    """One row, its configuration checked; None: its faults are in ``faults``."""
    settings = (
        *spec.settings,
        *algorithm.settings,
        *(Setting(key, value, f"grid of {spec.source}", text=False) for key, value in chosen.items()),
        *own_settings(spec, algorithm),
    )
    try:
        config = load(_shipped(spec.data), flags=settings)
    except ConfigError as error:
        lines = str(error).split("\n  ")
        faults += [f"{label}: {line}" for line in (lines[1:] or lines)]
        return None
    given = default_space(config) if spec.search is None else spec.search
    space = {key: one for key, one in given.items() if _applies(key, config.methods)}
    return Row(label, algorithm.name, config, settings, space if spec.trials > 1 else {})


def own_settings(spec: Spec, algorithm: Algorithm) -> list[Setting]:
    """What the bench sets in every run of an algorithm."""
    own = {
        "algorithm": algorithm.name,
        "around": algorithm.around,
        "seed": spec.seeds[0],
        "data.name": data_set_of(spec.data),
        "data.held_out": spec.held_out[0],
        "trainer.max_steps": spec.budget,
        "trainer.select": SELECTED_BY[spec.selection],
        "trainer.loggers": LOGGERS,
    }
    return [Setting(key, value, spec.source, text=False) for key, value in own.items()]


def _shipped(name: str) -> str | None:
    return name if name in shipped() else None


def _applies(key: str, methods: Sequence[str]) -> bool:
    """Whether a key of a grid or search space means anything for some methods."""
    section, _, name = key.partition(".")
    if section == "method":
        return name in options_of(methods[0])
    return section not in METHODS or section in methods


def _shorts(grid: Mapping[str, Any]) -> dict[str, str]:
    """The short names of a grid's keys: their last part, where that is enough to tell them apart."""
    last = [key.rpartition(".")[2] for key in grid]
    return {
        key: one if last.count(one) == 1 else key.replace(".", "_")
        for key, one in zip(grid, last, strict=True)
    }


def _text(value: Any) -> str:  # noqa: ANN401 - a value of a configuration
    if isinstance(value, list | tuple):
        return "+".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return slug(str(value))


def slug(name: str) -> str:
    """A name as a part of a folder's: lower case, everything but letters, digits and dots as one hyphen."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "x"


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
