"""Train the methods over seeds and protocols, judge them, and write docs/results.md.

    python -m benchmarks.results --jobs 2
    python -m benchmarks.results --config bluemarble-vit-tiny --methods moge --protocols all --seeds 0
    python -m benchmarks.results --only-report

Each run is ``geomoe train`` in a process of one thread, then ``geomoe evaluate`` of the checkpoint that
validation on the source regions selected. What is finished is skipped and what was stopped goes on, so the
command can be given again at any time. The tables hold every finished run found under ``--output`` whose
configuration and data are those of today; others are named, left out, and done again only with ``--redo``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from benchmarks.results_page import write_page
from geomoe.catalogue import AROUND_MOGE

METHODS = AROUND_MOGE
PROTOCOLS = ("all", "Asia")
QUICK = "bluemarble"


class Run(NamedTuple):
    """One training run: a shipped configuration, a method, a protocol ("all" or a region) and a seed."""

    config: str
    method: str
    protocol: str
    seed: int

    def __str__(self) -> str:
        return "/".join(map(str, self))

    def flags(self) -> dict[str, str]:
        """What differs from the configuration file, as dotted keys."""
        flags = {"algorithm": self.method, "seed": str(self.seed), "trainer.threads": "1"}
        if self.protocol != "all":
            flags["data.held_out"] = self.protocol
        return flags

    def command(self) -> list[str]:
        """The command line that trains this run."""
        spelt = {"data.held_out": "held-out"}
        flags = [part for key, value in self.flags().items() for part in (f"--{spelt.get(key, key)}", value)]
        return ["geomoe", "train", self.config, *flags]

    def folder(self, output: str):
        """Its run folder."""
        from geomoe.training.runfolder import run_folder

        return run_folder(self.configuration(output))

    def configuration(self, output: str):
        """Its checked configuration."""
        from geomoe.config.keys import Setting
        from geomoe.config.load import load

        flags = {**self.flags(), "output": output}
        return load(
            self.config, flags=[Setting(key, value, "benchmarks.results") for key, value in flags.items()]
        )


def stale(run: Run, output: str, data_hash: str) -> str:
    """Why a run that is there cannot be used: another configuration or other data; empty: it can."""
    from geomoe.training.runfolder import different_keys

    folder = run.folder(output)
    if not (folder.path / "run.json").exists():
        return ""
    changed = different_keys(folder.read_config().as_dict(), run.configuration(output).as_dict())
    found = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))["data"]["hash"]
    return "; ".join(
        [*changed, *([] if found == data_hash else [f"data {found[:12]}, now {data_hash[:12]}"])]
    )


def perform(run: Run, output: str, bootstrap: int) -> None:
    """Train (or go on) and judge one run, in this process."""
    import torch

    from geomoe.evaluation import evaluate
    from geomoe.training import fit

    torch.set_num_threads(1)
    folder = run.folder(output)
    if not folder.done.exists():
        resume = folder.last.exists()
        if folder.path.exists() and not resume:
            shutil.rmtree(folder.path)  # it was stopped before its first checkpoint
        start = time.process_time()
        fit(run.configuration(output), resume=resume, command=run.command(), quiet=True)
        cost = None if resume else round(time.process_time() - start, 1)
        (folder.path / "cost.json").write_text(json.dumps({"cpu_seconds": cost}) + "\n", encoding="utf-8")
    if not report_file(folder.path).exists():
        report = evaluate(folder.best, split="test", bootstrap=bootstrap)
        report.save(folder.path / "report-test")


def report_file(folder: Path) -> Path:
    """Where a run's report lies."""
    return folder / "report-test" / "report.json"


def start(run: Run, output: str, bootstrap: int) -> tuple[Run, int, float]:
    """Perform one run in a process of its own, with one thread; its messages go to a log file."""
    log = Path(output) / "logs" / f"{str(run).replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.results", "--one", str(run), "--output", output]
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        code = subprocess.call(
            [*command, "--bootstrap", str(bootstrap)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    return run, code, time.monotonic() - begin


def plan(arguments: argparse.Namespace) -> list[Run]:
    """The runs that were asked for, seed by seed, so that early tables have every method."""
    return [
        Run(arguments.config, method, protocol, seed)
        for seed in arguments.seeds
        for protocol in arguments.protocols
        for method in arguments.methods
    ]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__.splitlines()[0])
    parser.add_argument("--config", default=QUICK, help="shipped configuration (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS, help="all, or a region to hold out")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, one thread each")
    parser.add_argument("--output", default="runs", help="folder of all runs (default: %(default)s)")
    parser.add_argument("--docs", default="docs", help="folder of results.md and results.json")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for each interval")
    parser.add_argument("--only-report", action="store_true", help="train nothing; write the tables")
    parser.add_argument("--redo", action="store_true", help="train again what has changed since")
    parser.add_argument("--judge-again", action="store_true", help="evaluate again what is trained")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, then write the page. 1 when a run failed: its log says why."""
    arguments = parse(argv)
    if arguments.one:
        config, method, protocol, seed = arguments.one.split("/")
        perform(Run(config, method, protocol, int(seed)), arguments.output, arguments.bootstrap)
        return 0
    hashes = data_hashes(arguments)
    failed = 0 if arguments.only_report else train_missing(arguments, hashes)
    records = []
    for run in known_runs(arguments):
        if report_file(run.folder(arguments.output).path).exists():
            reason = stale(run, arguments.output, hashes[run.config])
            if reason:
                print(f"left out  {run}: {reason}")
            else:
                records.append(record(run, arguments.output))
    write_page(records, Path(arguments.docs))
    print(f"{len(records)} finished runs in {arguments.docs}/results.md")
    return 1 if failed else 0


def train_missing(arguments: argparse.Namespace, hashes: dict[str, str]) -> int:
    """Perform the runs that were asked for and are not finished; how many failed."""
    todo = []
    for run in plan(arguments):
        folder = run.folder(arguments.output).path
        reason = stale(run, arguments.output, hashes[run.config])
        if reason and arguments.redo:
            shutil.rmtree(folder)
        elif reason:
            print(f"stale  {run}: {reason}; do it again with --redo")
            continue
        if arguments.judge_again:
            shutil.rmtree(folder / "report-test", ignore_errors=True)
        if not report_file(folder).exists():
            todo.append(run)
    print(f"{len(todo)} runs to do, {arguments.jobs} at a time", flush=True)
    failed = 0
    with ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
        jobs = [pool.submit(start, run, arguments.output, arguments.bootstrap) for run in todo]
        for job in as_completed(jobs):
            run, code, seconds = job.result()
            failed += code != 0
            print(f"{'failed' if code else 'done'}  {run}  {seconds:.0f} s", flush=True)
    return failed


def data_hashes(arguments: argparse.Namespace) -> dict[str, str]:
    """Configuration -> hash of its data as it is here and now."""
    from geomoe.build import build_datamodule

    first = {run.config: run for run in reversed([*known_runs(arguments), *plan(arguments)])}
    return {
        config: build_datamodule(run.configuration(arguments.output)).info()["data_hash"]
        for config, run in first.items()
    }


def known_runs(arguments: argparse.Namespace) -> list[Run]:
    """Every run that the page may show: of each shipped bluemarble configuration, in table order."""
    from geomoe.config.shipped import shipped

    configs = sorted(
        (name for name in shipped() if name.startswith("bluemarble")), key=lambda name: (name != QUICK, name)
    )
    protocols = list(dict.fromkeys([*PROTOCOLS, *arguments.protocols]))
    seeds = sorted({0, 1, 2, *arguments.seeds})
    return [
        Run(config, method, protocol, seed)
        for config in configs
        for protocol in protocols
        for method in METHODS
        for seed in seeds
    ]


def record(run: Run, output: str) -> dict:
    """The numbers of one finished run, with the commands that make them."""
    from geomoe.evaluation import Report, compare

    folder = run.folder(output).path
    report = Report.load(folder / "report-test")
    cost = folder / "cost.json"
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {
        **run._asdict(),
        "cpu_seconds": json.loads(cost.read_text())["cpu_seconds"] if cost.exists() else None,
        "train": shlex.join(run.command()),
        "evaluate": shlex.join(["geomoe", "evaluate", "--checkpoint", run.folder("runs").best.as_posix()]),
        "git_commit": facts["starts"][0]["git_commit"],
        "versions": facts["versions"],
        "data_hash": report.data_hash,
        "count": report.scores_of().overall.count,
        "rows": compare({run.method: report}).as_dict()["rows"],
    }


if __name__ == "__main__":
    sys.exit(main())
