"""Run a bench: plan, check, train and judge what is missing in one process or several, write the results."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.spec import Spec, spec_of
from geomoe.bench.results.gather import gather
from geomoe.bench.results.output import write_results
from geomoe.bench.running.folders import check_data, check_folders
from geomoe.bench.running.work import WorkOptions, state_of, work
from geomoe.config.limits import MOST_SILENCE
from geomoe.errors import InputError
from geomoe.support.claims import STALE
from geomoe.support.files import check_folder
from geomoe.support.options import call_options
from geomoe.support.plain import to_plain
from geomoe.support.text import counted
from geomoe.support.workers import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from geomoe.bench.planning.plan import Plan
    from geomoe.bench.results.values import Results

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How a bench is run; what it computes is in its spec.

    Args:
        workers: number of processes on this machine; None: that of the spec.
        retry_failed: whether to repeat failed runs.
        table_only: whether to train nothing, and only write the results of the runs that are finished.
        stale: seconds without a sign of life after which the run of another process is taken over.
        command: the command, stored in each run's ``run.json``.
        quiet: whether to show only warnings of worker processes.
        safe_csv: whether to quote text in table.csv that a spreadsheet would take for formulas.

    Raises:
        InputError: fewer than one worker, or ``stale`` is not above 0.
    """

    workers: int | None = None
    retry_failed: bool = False
    table_only: bool = False
    stale: float = STALE
    command: tuple[str, ...] = ()
    quiet: bool = False
    safe_csv: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers: expected at least 1; got {self.workers}")
        if not 0 < self.stale <= MOST_SILENCE:
            raise InputError(f"stale: expected seconds above 0, up to {MOST_SILENCE:,}; got {self.stale}")


class BenchResult(NamedTuple):
    """The results of a call of :func:`bench`.

    Attributes:
        results: the results so far.
        files: the files that were written.
        complete: whether every run is finished.
    """

    results: Results
    files: tuple[Path, ...]
    complete: bool


def bench(
    spec: Spec | Mapping[str, Any],
    output: str | PathLike[str],
    options: BenchOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of BenchOptions
) -> BenchResult:
    """Compare methods under one budget; a second call performs only the runs that are missing.

    Args:
        spec: what to compare: a result of :func:`geomoe.bench.read_spec`, or plain values as in its YAML
            file.
        output: folder of all runs and results; several machines may share it.
        options: how to run it.
        **changes: fields of :class:`BenchOptions` by name.

    Raises:
        ConfigError: the spec is invalid, runs would collide, or a folder has a run of another configuration.
        OutputError: the folder cannot be written.
        DataError: a file of a run is damaged, or runs were judged on different data.
        DatasetNotFoundError: the data is missing.
        KeyboardInterrupt: Ctrl-C was pressed; the next call continues the bench.
    """
    asked = call_options(BenchOptions, options, changes)
    spec = spec if isinstance(spec, Spec) else spec_of(spec)
    plan = make_plan(spec, check_folder(output))
    check_folders(plan)
    if not asked.table_only:
        plan = _train(plan, asked)
    elif plan.spec.twins:
        from geomoe.bench.running.twins import known_widths

        plan = known_widths(plan)
    results = gather(plan)
    files = write_results(results, plan.output, safe_csv=asked.safe_csv)
    return BenchResult(results, files, all(run.state == "done" for run in results.runs))


def _train(plan: Plan, asked: BenchOptions) -> Plan:
    """Perform the runs that are missing."""
    now = time.time() if asked.retry_failed else 0.0
    options = WorkOptions(asked.stale, now, asked.command)
    states = [state_of(plan, run) for run in plan.runs]
    left = [one for one in states if one != "done" and (one != "failed" or asked.retry_failed)]
    counts = ", ".join(f"{states.count(name)} {name}" for name in ("done", "failed", "begun", "open"))
    log.info("%s: %s", counted(len(states), "run"), counts)
    if not left:
        return plan
    check_data(plan)
    if plan.spec.twins:
        from geomoe.bench.running.twins import resolve

        plan = resolve(plan)
        check_folders(plan)
    workers = min(asked.workers or plan.spec.workers, len(left))
    if workers == 1:
        work(plan, options)
    else:
        _start_workers(plan, options, workers, quiet=asked.quiet)
    return plan


def _start_workers(plan: Plan, options: WorkOptions, count: int, *, quiet: bool) -> None:
    """Run worker processes, each with its share of the threads, until all have ended."""
    threads = str(max(1, usable_cores() // count))
    shares = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    command = [sys.executable, "-m", "geomoe", "bench", "--as-worker", *(["--quiet"] if quiet else [])]
    text = json.dumps(
        {
            "spec": plan.spec.plain,
            "source": plan.spec.source,
            "output": str(plan.output),
            "options": to_plain(asdict(options)),
        }
    )
    running: list[subprocess.Popen[str]] = []
    with _terminated_as_interrupted():
        try:
            for _ in range(count):
                one = subprocess.Popen(
                    command, stdin=subprocess.PIPE, text=True, env={**os.environ, **shares}
                )
                running.append(one)
                with contextlib.suppress(BrokenPipeError), one.stdin:  # type: ignore[union-attr]
                    one.stdin.write(text)  # type: ignore[union-attr]
            for one in running:
                one.wait()
        except BaseException:
            for one in running:
                if one.poll() is None:
                    one.terminate()  # the run is saved, and goes on at the next call
            for one in running:
                one.wait()
            raise
    for one in running:
        if one.returncode < 0:
            name = signal.Signals(-one.returncode).name
            log.warning("worker %d was killed (%s); call again to go on with its run", one.pid, name)
        elif one.returncode:
            log.warning("worker %d ended with status %d", one.pid, one.returncode)


def work_as_told(told: Mapping[str, Any]) -> int:
    """Run a worker process, with the values that :func:`bench` wrote to its standard input."""
    plan = make_plan(spec_of(told["spec"], told["source"]), Path(told["output"]))
    if plan.spec.twins:
        from geomoe.bench.running.twins import known_widths

        plan = known_widths(plan)
    options = replace(WorkOptions(**told["options"]), command=tuple(told["options"]["command"]))
    with _terminated_as_interrupted():
        return work(plan, options)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C; this works only in the main thread."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
