"""Comparisons of methods under one budget, one tuning rule and one selection rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)
