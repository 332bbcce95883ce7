"""Collect results from the folders of runs: chosen trials, and the rows of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe import __version__
from geomoe.bench.planning.plan import baseline_of
from geomoe.bench.results.compare import SHARED, Cells, Chosen, by_seed, compared, suffix
from geomoe.bench.results.growth import growth_rows
from geomoe.bench.results.intervals import CONFIDENCE, mean_interval
from geomoe.bench.results.known import data_hash, look, read_counts
from geomoe.bench.results.values import Number, Results, RowCost, RowResult, RunEntry, Width
from geomoe.bench.running.counts import NEEDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geomoe.bench.planning.plan import Plan, Run
    from geomoe.bench.planning.rows import Row
    from geomoe.bench.results.known import Known
    from geomoe.bench.running.run_values import Done


def gather(plan: Plan) -> Results:
    """Collect the results of all runs that are finished so far.

    Raises:
        DataError: a file of a run is damaged, or runs were judged on different data.
    """
    known = {run: look(plan, run) for run in plan.runs}
    cells = [_cells(plan, row, known) for row in plan.rows.values()]
    config = next(iter(plan.rows.values())).config
    batch = (config.data.batch_size or 0) * config.trainer.accumulate_grad_batches
    planned = len(plan.spec.held_out) * len(plan.spec.seeds)
    rows = [_row(plan, one, choice, planned) for one in cells for choice in _choices(one)]
    rows = compared(plan, rows, cells)
    spec = plan.spec
    return Results(
        data=config.data.name,
        data_hash=data_hash(plan, known),
        held_out=spec.held_out,
        seeds=spec.seeds,
        steps=spec.budget,
        images=spec.budget * batch,
        trials=spec.trials,
        sampler=spec.sampler,
        selection=spec.selection,
        score=spec.score,
        baseline=baseline_of(plan),
        test=spec.test,
        compared=sum(1 for one in rows if one.difference is not None and one.difference.p is not None),
        resamples=spec.bootstrap,
        confidence=CONFIDENCE,
        rows=tuple(rows),
        runs=tuple(_entry(plan, run, known[run], cells) for run in plan.runs),
        growth=growth_rows(rows, [one.row for one in cells for _ in _choices(one)], spec.score),
        widths=_widths(plan),
        geomoe=__version__,
    )


def _widths(plan: Plan) -> dict[str, Width]:
    if not plan.spec.twins:
        return {}
    from geomoe.bench.running.twins import widths  # needs torch

    return {label: Width(one.mlp_ratio, one.rest) for label, one in widths(plan).items()}


def _cells(plan: Plan, row: Row, known: Mapping[Run, Known]) -> Cells:
    """Choose the trial of each seed and held-out domain whose runs have ended; diverged runs have, too."""
    groups: dict[tuple[str | None, int], list[Run]] = {}
    for run in (one for one in plan.runs if one.label == row.label):
        groups.setdefault((run.held_out, run.seed), []).append(run)
    chosen = {}
    for where, runs in groups.items():
        ended = [(run, done) for run in runs if (done := known[run].done) is not None]
        failures = [failure for run in runs if (failure := known[run].failed) is not None]
        lost = [failure for failure in failures if failure.kind == "diverged"]
        if ended and len(ended) + len(lost) == len(runs):
            chosen[where] = _chosen(plan, *max(ended, key=lambda pair: pair[1].validation))
    failed = sum(known[run].failed is not None for run in plan.runs if run.label == row.label)
    return Cells(row, chosen, failed)


def _chosen(plan: Plan, run: Run, done: Done) -> Chosen:
    needed = plan.spec.bootstrap > 0 and plan.spec.score in NEEDING
    return Chosen(run, done, read_counts(plan.folder(run), done) if needed else None)


def _choices(one: Cells) -> list[str]:
    """The choices of experts that are scored: all, and the shared expert alone if the runs have one."""
    found = {choice for cell in one.chosen.values() for choice in cell.done.scores}
    return ["all", SHARED] if SHARED in found else ["all"]


def _row(plan: Plan, one: Cells, choice: str, planned: int) -> RowResult:
    row = one.row
    names = dict.fromkeys(name for cell in one.chosen.values() for name in cell.done.scores.get(choice, {}))
    scores = {name: number for name in names if (number := _number(plan, one, choice, name)) is not None}
    targets = {}
    if len(plan.spec.held_out) > 1:
        for target in plan.spec.held_out:
            own = [cell.done.scores[choice] for (held, _), cell in one.chosen.items() if held == target]
            some = [score for scores in own if (score := scores.get(plan.spec.score)) is not None]
            if some:
                targets[str(target)] = number_of(some)
    return RowResult(
        label=row.label + suffix(choice),
        algorithm="+".join(row.config.methods),
        experts=choice,
        twin=row.twin,
        of=row.of,
        finished=len(one.chosen),
        planned=planned,
        failed=one.failed,
        scores=scores,
        targets=targets,
        interval=mean_interval(
            [cell.sums(choice, plan.spec.score) for cell in one.chosen.values()], plan.spec.bootstrap
        ),
        difference=None,
        rank=None,
        cost=_cost(one, choice),
        runs=tuple(cell.run.name for cell in one.chosen.values()),
    )


def _number(plan: Plan, one: Cells, choice: str, name: str) -> Number | None:
    values = by_seed(plan, one, choice, name)
    return number_of(list(values.values())) if values else None


def number_of(values: Sequence[float]) -> Number:
    """Mean and sample standard deviation."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Number(float(np.mean(values)), sd, len(values))


def _cost(one: Cells, choice: str) -> RowCost | None:
    costs = [cell.done.cost for cell in one.chosen.values()]
    if not costs:
        return None
    return RowCost(
        step_seconds=_mean(cost.step_seconds for cost in costs),
        step_flops=_mean(cost.step_flops for cost in costs),
        parameters=float(np.mean([cost.parameters for cost in costs])),
        answer_flops=float(np.mean([cost.answer_flops[choice] for cost in costs])),
        fit_seconds=float(np.mean([cost.fit_seconds for cost in costs])),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _entry(plan: Plan, run: Run, known: Known, cells: list[Cells]) -> RunEntry:
    done, failed = known.done, known.failed
    own = next(one for one in cells if one.row.label == run.label)
    pick = own.chosen.get((run.held_out, run.seed))
    return RunEntry(
        name=run.name,
        label=run.label,
        held_out=run.held_out,
        seed=run.seed,
        trial=run.trial,
        state=known.state,
        folder=plan.folder(run).relative_to(plan.output).as_posix(),
        chosen=pick is not None and pick.run == run,
        validation=None if done is None else done.validation,
        scores={} if done is None else done.scores,
        error=None if failed is None else failed.error,
        attempts=0 if failed is None else failed.attempts,
        drawn={} if done is None else done.drawn,
    )
