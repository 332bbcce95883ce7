"""A worker: it claims free runs, performs them and records failures, until no run is left."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from geomoe.bench.planning.search import ask_optuna
from geomoe.bench.running.run_values import FAILED, Failed, read_done, read_failed, write_value
from geomoe.config.rules import value_of
from geomoe.errors import DivergedError, GeomoeError, OutputError, one_line
from geomoe.support.claims import Claims, machine
from geomoe.training.runfolder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geomoe.bench.planning.plan import Plan, Run
    from geomoe.config import RunConfig
    from geomoe.config.keys import Setting
    from geomoe.support.claims import Claim

log = logging.getLogger(__name__)
POLL = 5.0  # seconds between two checks of the runs of other processes

State = Literal["done", "failed", "begun", "open"]


@dataclass(frozen=True)
class WorkOptions:
    """How a worker works.

    Args:
        stale: seconds without a sign of life after which a run is taken over.
        retry_before: failed runs are tried again if they failed before this time (seconds since 1970).
        command: the command, stored in each run's ``run.json``.
        wait: whether to wait for runs of other processes, to take over those whose process dies.
    """

    stale: float = 120.0
    retry_before: float = 0.0
    command: tuple[str, ...] = ()
    wait: bool = True


def state_of(plan: Plan, run: Run) -> State:
    """The state of a run: finished and judged, failed, begun, or none of these."""
    folder = plan.folder(run)
    if (folder / "done").exists() and read_done(folder) is not None:
        return "done"
    if (folder / FAILED).exists():
        return "failed"
    return "begun" if (folder / "config.yaml").exists() else "open"


def work(plan: Plan, options: WorkOptions) -> int:
    """Perform every run that is left and not claimed by another process; return how many were performed here.

    Raises:
        OutputError: the folder cannot be written.
        KeyboardInterrupt: on Ctrl-C; what was trained is kept.
    """
    claims = Claims(plan.output / "claims", options.stale)
    performed, told = 0, set[str]()
    while True:
        done = 0
        waiting: list[Run] = []
        for run in plan.runs:
            if _is_left(plan, run, options):
                took = _take(plan, run, options, claims)
                done += took
                waiting += [] if took else [run]
        performed += done
        if not waiting or (not options.wait and not done):
            return performed
        if not done:
            _tell_waiting(waiting, claims, told)
            time.sleep(min(POLL, options.stale / 4))


def _is_left(plan: Plan, run: Run, options: WorkOptions) -> bool:
    state = state_of(plan, run)
    if state == "failed":
        failed = read_failed(plan.folder(run))
        return failed is not None and failed.time < options.retry_before
    return state != "done"


def _take(plan: Plan, run: Run, options: WorkOptions, claims: Claims) -> bool:
    """Perform a run, unless another process has claimed it or it depends on unfinished runs."""
    drawn = _drawn(plan, run)
    claim = None if drawn is None else claims.take(run.name)
    if drawn is None or claim is None:
        return False
    with claim:
        if not _is_left(plan, run, options):
            return True
        return _perform(plan, run, drawn, options, claim)


def _drawn(plan: Plan, run: Run) -> Sequence[Setting] | None:
    """The settings of a run's trial; None if they depend on trials that have not ended."""
    if plan.known_before(run):
        return plan.drawn(run)
    space, earlier = plan.rows[run.label].space, []
    for other in (one for one in plan.runs if one.cell == run.cell and one.trial < run.trial):
        folder = plan.folder(other)
        done = read_done(folder) if (folder / "done").exists() else None
        if done is None and not (folder / FAILED).exists():
            return None
        if (folder / "config.yaml").exists():  # trial 0, and trials that diverged, tell as much as others
            config = RunFolder(folder).read_config()
            values = {key: _value(config, key) for key in space}
            earlier.append((values, None if done is None else done.validation))
    where = (run.label, run.held_out or "", run.seed, run.trial)
    return ask_optuna(space, where, earlier)


def _value(config: RunConfig, key: str) -> Any:  # noqa: ANN401 - any configuration value
    """The value of a key of a search space."""
    section, _, name = key.partition(".")
    if section == "method":
        section = config.algorithm
    return config.options[section][name] if section in config.options else value_of(config, key)


def _perform(plan: Plan, run: Run, drawn: Sequence[Setting], options: WorkOptions, claim: Claim) -> bool:
    from geomoe.bench.running.perform import TakenOver, perform  # needs torch

    folder, start = plan.folder(run), time.monotonic()
    before = read_failed(folder)
    log.info("%s: %s", run.name, "goes on" if (folder / "config.yaml").exists() else "begins")
    try:
        with _busy_as_taken_over():
            perform(plan.config(run, drawn), plan.spec, drawn, claim, options.command)
    except TakenOver:
        log.warning("%s: another process has it now", run.name)
        return False
    except Exception as error:
        if isinstance(error, OutputError) or claim.lost.is_set():
            raise
        _write_failure(plan, run, error, (before.attempts if before else 0) + 1)
        return True
    log.info("%s: done, %.0f s", run.name, time.monotonic() - start)
    return True


@contextlib.contextmanager
def _busy_as_taken_over() -> Iterator[None]:
    from geomoe.bench.running.perform import TakenOver

    try:
        yield
    except OutputError as error:
        if "another process is" in str(error):  # a process that is alive, but was still for long
            raise TakenOver from error
        raise


def _write_failure(plan: Plan, run: Run, error: Exception, attempts: int) -> None:
    text = (
        one_line(error, 500)
        if isinstance(error, GeomoeError)
        else f"{type(error).__name__}: {one_line(error, 500)}"
    )
    kind: Literal["diverged", "error"] = "diverged" if isinstance(error, DivergedError) else "error"
    log.warning("%s: failed: %s", run.name, text)
    log.debug("%s", run.name, exc_info=error)
    host = machine().partition("|")[0]
    write_value(plan.folder(run) / FAILED, Failed(text, kind, attempts, time.time(), host))


def _tell_waiting(waiting: Sequence[Run], claims: Claims, told: set[str]) -> None:
    for run in waiting:
        holder = claims.holder(run.name)
        if holder is not None and run.name not in told:
            told.add(run.name)
            log.info("%s: is with %s; waiting for it", run.name, holder)
