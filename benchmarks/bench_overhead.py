"""The overhead of geomoe bench beyond its runs, in seconds of one core.

    python -m benchmarks.bench_overhead [--steps 300] [--methods erm moge] [--seeds 2]

One process, one thread. The runs themselves are the calls of ``fit`` and ``evaluate_fully``; everything else
of ``geomoe.bench.bench`` is overhead: plan, checks, claims, cost, results, tables, page. Updates whose
operations are counted are slower; the additional time is overhead, too. Imports are done before, because
``geomoe train`` needs them as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path


class Stopwatch:
    """Adds up the seconds of one core that calls of a function take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function):
        """The function, timed."""

        def timed(*arguments, **keywords):
            begin = time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds += time.process_time() - begin

        return timed


@contextmanager
def replaced(module, name, value):
    """Replace the value of a name of a module inside a ``with`` block."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def timed_meter(base, slow: list[float]):
    """A cost meter that records the additional time of counted updates."""

    class Timed(base):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self.plain, self.counting, self.begin = [], [], 0.0

        def on_train_batch_start(self, *arguments):
            self.begin = time.process_time()
            super().on_train_batch_start(*arguments)

        def on_train_batch_end(self, *arguments):
            counting = self._counter is not None
            super().on_train_batch_end(*arguments)
            (self.counting if counting else self.plain).append(time.process_time() - self.begin)

        def cost(self):
            usual = sum(self.plain[3:]) / len(self.plain[3:])
            slow.append(sum(self.counting) - len(self.counting) * usual)
            return super().cost()

    return Timed


def main(argv: list[str] | None = None) -> int:
    """Bench, and print the share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_overhead")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--methods", nargs="+", default=["erm", "moge"])
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args(argv)

    import matplotlib.figure  # noqa: F401
    import torch

    import geomoe.datasets.bluemarble.module  # noqa: F401
    from geomoe.bench import bench
    from geomoe.bench.running import perform

    torch.set_num_threads(1)
    spec = {
        "data": "bluemarble",
        "held_out": "Asia",
        "algorithms": arguments.methods,
        "seeds": arguments.seeds,
        "budget": arguments.steps,
        "settings": {"trainer.threads": 1},
    }
    runs, slow = Stopwatch(), []
    with (
        tempfile.TemporaryDirectory() as folder,
        replaced(perform, "fit", runs.around(perform.fit)),
        replaced(perform, "evaluate_fully", runs.around(perform.evaluate_fully)),
        replaced(perform, "CostMeter", timed_meter(perform.CostMeter, slow)),
    ):
        begin = time.process_time()
        bench(spec, Path(folder) / "bench")
        total = time.process_time() - begin
    alone = runs.seconds - sum(slow)
    print(f"{len(slow)} runs of {arguments.steps} updates: {alone:.1f} s")
    print(f"around them: {total - runs.seconds:.2f} s; counting of operations: {sum(slow):.2f} s")
    print(f"overhead: {100 * (total / alone - 1):.2f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
