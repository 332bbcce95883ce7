"""Comparison of the rows of a bench: ranks, and paired differences to the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe import metrics
from geomoe.bench.planning.plan import base_row
from geomoe.bench.results.intervals import difference_interval, sums
from geomoe.bench.results.values import Difference, RowResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geomoe.bench.planning.plan import Plan, Run
    from geomoe.bench.planning.rows import Row
    from geomoe.bench.results.intervals import Sums
    from geomoe.bench.running.counts import Counts
    from geomoe.bench.running.run_values import Done

SHARED = "shared"


class Chosen(NamedTuple):
    """The chosen run of a row, a seed and a held-out domain, with its results.

    Attributes:
        run: the run in the plan.
        done: its scores.
        counts: counts for intervals of scores other than accuracy; None if no such interval is computed.
    """

    run: Run
    done: Done
    counts: Counts | None

    def sums(self, choice: str, score: str) -> Sums | None:
        """Counts by block from which the score of a run is computed."""
        return sums(self.done.blocks, self.counts, choice, score)


class Cells(NamedTuple):
    """The chosen runs of one row, by held-out domain and seed."""

    row: Row
    chosen: dict[tuple[str | None, int], Chosen]
    failed: int


def suffix(choice: str) -> str:
    """Suffix of a row's label for a choice of experts: -SE for the shared expert alone."""
    return "-SE" if choice == SHARED else ""


def by_seed(plan: Plan, one: Cells, choice: str, name: str) -> dict[int, float]:
    """Seed -> mean score over the held-out domains, for seeds whose runs for all domains are finished."""
    found = {}
    for seed in plan.spec.seeds:
        cells = [one.chosen.get((target, seed)) for target in plan.spec.held_out]
        values = [cell.done.scores[choice].get(name) for cell in cells if cell is not None]
        if len(values) == len(cells) and None not in values:
            found[seed] = float(np.mean(values))  # type: ignore[arg-type]
    return found


def compared(plan: Plan, rows: list[RowResult], cells: list[Cells]) -> list[RowResult]:
    """Rows with their ranks and differences to the baseline; only finished rows have them."""
    by_label = {one.row.label: one for one in cells}
    of = {row.label: by_label[row.label.removesuffix(suffix(row.experts))] for row in rows}
    finished = [row for row in rows if row.finished == row.planned]
    ranks = _ranks(plan, finished, of)
    rows = [replace(row, rank=ranks.get(row.label)) for row in rows]
    done = {row.label for row in finished}
    found = []
    for row in rows:
        base = base_row(plan, of[row.label].row)
        if base is not None and {row.label, base.label} <= done and row.label != base.label:
            row = replace(row, difference=_difference(plan, of[row.label], row.experts, of[base.label]))
        found.append(row)
    return _corrected(found)


def _ranks(plan: Plan, finished: list[RowResult], of: Mapping[str, Cells]) -> dict[str, float]:
    """Mean ranks among the finished rows that are trained on the same data."""
    order = [(target, seed) for target in plan.spec.held_out for seed in plan.spec.seeds]
    points: dict[object, dict[str, list[float]]] = {}
    for row in finished:
        one = of[row.label]
        scores = [one.chosen[where].done.scores[row.experts].get(plan.spec.score) for where in order]
        known = [score for score in scores if score is not None]
        if len(known) == len(scores):
            points.setdefault(one.row.point, {})[row.label] = known
    return {
        label: rank
        for scores in points.values()
        if len(scores) > 1
        for label, rank in metrics.mean_ranks(scores).items()
    }


def _difference(plan: Plan, one: Cells, choice: str, base: Cells) -> Difference | None:
    score = plan.spec.score
    own, other = by_seed(plan, one, choice, score), by_seed(plan, base, "all", score)
    pairs = [own[seed] - other[seed] for seed in own if seed in other]
    if not pairs:
        return None  # data without domains has no worst one
    runs = [(run.sums(choice, score), base.chosen[key].sums("all", score)) for key, run in one.chosen.items()]
    interval = difference_interval(runs, plan.spec.bootstrap)
    return Difference(float(np.mean(pairs)), interval, metrics.paired_test(pairs, plan.spec.test), None)


def _corrected(rows: list[RowResult]) -> list[RowResult]:
    """Holm's correction over all rows with a p-value."""
    tested = [row for row in rows if row.difference is not None and row.difference.p is not None]
    adjusted = metrics.holm([row.difference.p for row in tested])  # type: ignore[union-attr, misc]
    by_label = dict(zip((row.label for row in tested), adjusted, strict=True))
    return [
        replace(row, difference=replace(row.difference, p_holm=by_label[row.label]))
        if row.label in by_label and row.difference is not None
        else row
        for row in rows
    ]
