"""State and results of each run of a bench, read from its folder and checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from geomoe.bench.results.intervals import score_of, sums
from geomoe.bench.running.counts import FILE as COUNTS
from geomoe.bench.running.counts import FORMAT, NEEDING, Counts
from geomoe.bench.running.run_values import FILE, LATER, REPORT, Done, read_done, read_failed, scores_of
from geomoe.bench.running.work import state_of
from geomoe.errors import DataError, InputError, one_line
from geomoe.evaluation.reports.report import Report
from geomoe.support.bounded import read_json
from geomoe.support.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geomoe.bench.planning.plan import Plan, Run
    from geomoe.bench.running.run_values import Failed


class Known(NamedTuple):
    """State of a run, its results if it is done, and its error if it has failed."""

    state: str
    done: Done | None
    failed: Failed | None


def look(plan: Plan, run: Run) -> Known:
    """Read the state of a run and its files.

    Raises:
        DataError: one of its files is damaged.
    """
    folder, state = plan.folder(run), state_of(plan, run)
    done = read_done(folder) if state == "done" else None
    if done is not None and (folder / REPORT).exists():
        done = _checked(folder, done)
    return Known(state, done, read_failed(folder) if state == "failed" else None)


def _checked(folder: Path, done: Done) -> Done:
    """Compare a run's numbers with its report, to which the tables link, and add scores of later versions.

    Raises:
        DataError: the report is damaged, or has other numbers.
    """
    hint = f"remove {folder / FILE}, and the bench judges the run again"
    try:
        report = Report.load(folder)
    except DataError as error:
        raise DataError(f"{one_line(error)}; {hint}") from error
    told = {choice: scores_of(scores) for choice, scores in report.scores.items()}
    if told.keys() != done.scores.keys():
        raise DataError(f"{folder / REPORT}: holds other scores than {FILE} beside it; {hint}")
    for choice, own in done.scores.items():
        later = {name: told[choice][name] for name in LATER if name in told[choice] and name not in own}
        if told[choice] != own | later:
            raise DataError(f"{folder / REPORT}: holds other scores than {FILE} beside it; {hint}")
    return replace(done, scores=told)


def read_counts(folder: Path, done: Done) -> Counts:
    """The counts of a finished run.

    Raises:
        DataError: the file is missing, damaged, or gives other scores than the run has.
    """
    path = folder / COUNTS
    hint = f"remove {folder / FILE}, and the bench judges the run again"
    if not path.exists():
        raise DataError(f"{path}: no such file; intervals of this score need it; {hint}")
    try:
        found = read_json(path)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise InputError(f"not of format {FORMAT}")
        counts = from_plain(Counts, found)
        _check_counts(counts, done)
    except DataError as error:
        raise DataError(f"{one_line(error)}; {hint}") from error
    except InputError as error:
        raise DataError(f"{path}: damaged: {error}; {hint}") from error
    return counts


def _check_counts(counts: Counts, done: Done) -> None:
    """Check that the counts give the scores of the run.

    Raises:
        InputError: they give other scores.
    """
    for name, table in (
        ("domains.correct", counts.domains.correct),
        ("classes.correct", counts.classes.correct),
        ("classes.answered", counts.classes.answered),
    ):
        if table.keys() != done.scores.keys():
            raise InputError(f"{name}: expected the counts of {', '.join(done.scores)}")
    for choice, scores in done.scores.items():
        for score in (name for name in NEEDING if name in scores):
            own = sums(done.blocks, counts, choice, score)
            value = None if own is None else score_of(own)
            if value is None or not abs(value - scores[score]) <= 1e-9:
                raise InputError(
                    f"expected counts that give {score} {scores[score]} of {choice}; got {value}"
                )


def data_hash(plan: Plan, known: Mapping[Run, Known]) -> str | None:
    """The hash of the data that all runs were judged on; None: each seed has its own split.

    Raises:
        DataError: runs were judged on different data.
    """
    if plan.spec.split == "seed":
        return None  # each seed has its own split
    found: dict[str | None, Run] = {}
    for run, one in known.items():
        if one.done is not None:
            found.setdefault(one.done.data_hash, run)
    if len(found) > 1:
        first, second, *_ = found.values()
        msg = f"{plan.folder(second)}: was judged on other data than {plan.folder(first)}"
        raise DataError(f"{msg}; bring back the data, or bench again with another --output")
    return next(iter(found), None)
