"""Comparisons of methods under one budget, one tuning rule and one selection rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.support import on_first_use

if TYPE_CHECKING:
    from geomoe.bench.planning.spec import Spec, read_spec, spec_of
    from geomoe.bench.results.values import Results
    from geomoe.bench.run import BenchOptions, BenchResult, bench

# public name -> its module, imported on first use: plans need no torch
_PUBLIC = {
    "BenchOptions": "geomoe.bench.run",
    "BenchResult": "geomoe.bench.run",
    "Results": "geomoe.bench.results.values",
    "Spec": "geomoe.bench.planning.spec",
    "bench": "geomoe.bench.run",
    "read_spec": "geomoe.bench.planning.spec",
    "spec_of": "geomoe.bench.planning.spec",
}
__all__ = ["BenchOptions", "BenchResult", "Results", "Spec", "bench", "read_spec", "spec_of"]

__getattr__ = on_first_use(__name__, _PUBLIC)
