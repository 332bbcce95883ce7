"""Shared parts of the benchmarks: run contestants in turns, and compare a number with its bar."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds(case: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of a case: of the processor on a CPU, of the wall clock on a GPU, until its work is done.

    With one thread, CPU seconds equal the wall clock of an idle machine; other load disturbs them less.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    _wait(device)
    start = clock()
    case()
    _wait(device)
    return clock() - start


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def interleave(
    cases: dict[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Seconds of each case in each round, taken in turns after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            took = seconds(case, device)
            if number:
                times[name].append(took)
    return times


def verdict(name: str, value: float, bar: float, *, at_least: bool = False, unit: str = "") -> None:
    """Print one measured value against its bar."""
    good = value >= bar if at_least else value <= bar
    sign = ">=" if at_least else "<="
    print(f"  {'PASS' if good else 'MISS'}  {name}: {value:.4g}{unit} (bar {sign} {bar:g}{unit})", flush=True)
