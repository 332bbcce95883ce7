"""Shared parts of the benchmarks: run contestants in turns, and compare a number with its bar."""

from __future__ import annotations

import time
from collections.abc import Callable


def interleave(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each case in each round, taken in turns after one warm-up round.

    With one thread, CPU seconds equal the wall clock of an idle machine; other load disturbs them less.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            start = time.process_time()
            case()
            if number:
                times[name].append(time.process_time() - start)
    return times


def verdict(name: str, value: float, bar: float, *, at_least: bool = False, unit: str = "") -> None:
    """Print one measured value against its bar."""
    good = value >= bar if at_least else value <= bar
    sign = ">=" if at_least else "<="
    print(f"  {'PASS' if good else 'MISS'}  {name}: {value:.4g}{unit} (bar {sign} {bar:g}{unit})", flush=True)
