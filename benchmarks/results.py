"""Train the methods over seeds and protocols, judge them, and write docs/results.md.

    python -m benchmarks.results --jobs 2
    python -m benchmarks.results --config bluemarble-vit-tiny --protocols all --seeds 0
    python -m benchmarks.results --only-report

For each configuration and protocol this is a bench (docs/bench.md) in its own folder: as many updates as the
configuration's epochs have, one thread for each process, no tuning. Finished runs are skipped and interrupted
ones are resumed, so the command can be given again at any time. The tables hold every finished run found
under ``--output`` whose configuration and data have not changed since; other runs are named and left out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.results_page import write_page

#: MoGE, and methods that use the location without experts.
METHODS = ("erm", "erm_le", "film_le", "le_mlp", "le_token", "moge", "moge_le")
PROTOCOLS = ("all", "Asia")
QUICK = "bluemarble"
THREADS = {"trainer.threads": 1}


class Run(NamedTuple):
    """One training run: a shipped configuration, a method, a protocol ("all" or a region) and a seed."""

    config: str
    method: str
    protocol: str
    seed: int

    def __str__(self) -> str:
        return "/".join(map(str, self))

    def flags(self) -> dict[str, str]:
        """The differences from the configuration file, as dotted keys."""
        flags = {"algorithm": self.method, "seed": str(self.seed)}
        flags |= {key: str(value) for key, value in THREADS.items()}
        if self.protocol != "all":
            flags["data.held_out"] = self.protocol
        return flags

    def command(self) -> list[str]:
        """The command line that trains this run; it gives the same weights as the bench."""
        spelt = {"data.held_out": "held-out"}
        flags = [part for key, value in self.flags().items() for part in (f"--{spelt.get(key, key)}", value)]
        return ["geomoe", "train", self.config, *flags]

    def configuration(self, output: str):
        """The checked configuration of that command."""
        from geomoe.config.keys import Setting
        from geomoe.config.load import load

        flags = {**self.flags(), "output": output}
        return load(
            self.config, flags=[Setting(key, value, "benchmarks.results") for key, value in flags.items()]
        )

    def folder(self, output: str):
        """Its run folder in the bench."""
        from geomoe.bench.planning.plan import Run as BenchRun
        from geomoe.training import RunFolder

        held_out = None if self.protocol == "all" else self.protocol
        data = self.configuration(output).data.name
        name = BenchRun(self.method, held_out, self.seed, 0).name
        return RunFolder(
            bench_folder(output, self.config, self.protocol) / "runs" / data / self.method / name
        )


def bench_folder(output: str, config: str, protocol: str) -> Path:
    """The folder of the bench of a configuration and protocol."""
    from geomoe.bench.planning.rows import slug

    return Path(output) / "results" / config / slug(protocol)


@cache
def updates(config: str, protocol: str) -> tuple[int, str]:
    """Number of updates in all epochs of a configuration, and the current hash of its data."""
    from geomoe.build import build_datamodule

    wanted = Run(config, METHODS[0], protocol, 0).configuration("runs")
    data = build_datamodule(wanted)
    data.setup("fit")
    return len(data.train_dataloader()) * wanted.trainer.max_epochs, data.info()["data_hash"]


def spec(config: str, protocol: str, methods, seeds, bootstrap: int) -> dict:
    """The bench of a configuration and protocol."""
    return {
        "data": config,
        "held_out": None if protocol == "all" else protocol,
        "algorithms": list(methods),
        "seeds": list(seeds),
        "budget": updates(config, protocol)[0],
        "settings": THREADS,
        "bootstrap": bootstrap,
    }


def plan(arguments: argparse.Namespace) -> list[Run]:
    """The requested runs, seed by seed, so that early tables have every method."""
    return [
        Run(arguments.config, method, protocol, seed)
        for seed in arguments.seeds
        for protocol in arguments.protocols
        for method in arguments.methods
    ]


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
    parser.add_argument("--retry-failed", action="store_true", help="try failed runs again")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, then write the page. Returns 1 if a run failed; see failed.json in its folder."""
    arguments = parse(argv)
    complete = arguments.only_report or train_missing(arguments)
    records = []
    for run in known_runs(arguments):
        if (run.folder(arguments.output).path / "bench.json").exists():
            reason = stale(run, arguments.output)
            if reason:
                print(f"left out  {run}: {reason}")
            else:
                records.append(record(run, arguments.output))
    write_page(records, Path(arguments.docs))
    print(f"{len(records)} finished runs in {arguments.docs}/results.md")
    return 0 if complete else 1


def train_missing(arguments: argparse.Namespace) -> bool:
    """Bench each requested protocol; return whether every run is finished."""
    from geomoe.bench import bench

    complete = True
    for protocol in arguments.protocols:
        wanted = spec(arguments.config, protocol, arguments.methods, arguments.seeds, arguments.bootstrap)
        folder = bench_folder(arguments.output, arguments.config, protocol)
        again = {"workers": arguments.jobs, "retry_failed": arguments.retry_failed}
        found = bench(wanted, folder, **again, command=("python", "-m", "benchmarks.results"))
        complete &= found.complete
    return complete


def stale(run: Run, output: str) -> str:
    """Why an existing run cannot be used (another configuration or other data); empty if it can."""
    from geomoe.training.runfolder import different_keys

    steps, data_hash = updates(run.config, run.protocol)
    wanted = run.configuration(output)
    wanted = replace(wanted, trainer=replace(wanted.trainer, max_steps=steps))
    folder = run.folder(output)
    changed = different_keys(folder.read_config().as_dict(), wanted.as_dict())
    found = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))["data"]["hash"]
    return "; ".join(
        [*changed, *([] if found == data_hash else [f"data {found[:12]}, now {data_hash[:12]}"])]
    )


def record(run: Run, output: str) -> dict:
    """The numbers of one finished run, with the commands that make them."""
    from geomoe.bench.running.run_values import read_done
    from geomoe.evaluation import Report, compare
    from geomoe.training import run_folder

    folder = run.folder(output).path
    report = Report.load(folder)
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    trained = run_folder(run.configuration("runs")).best.as_posix()
    return {
        **run._asdict(),
        "cpu_seconds": read_done(folder).cost.cpu_seconds,
        "train": shlex.join(run.command()),
        "evaluate": shlex.join(["geomoe", "evaluate", "--checkpoint", trained]),
        "git_commit": facts["starts"][0]["git_commit"],
        "versions": facts["versions"],
        "data_hash": report.data_hash,
        "count": report.scores_of().overall.count,
        "rows": compare({run.method: report}).as_dict()["rows"],
    }


if __name__ == "__main__":
    sys.exit(main())
