"""A bench in a process of its own, which may be killed: see test_workers."""

from __future__ import annotations

import geomoe.bench.perform  # noqa: F401 - imported before the server forks
from geomoe.bench import bench


def main(spec, folder):
    bench(spec, folder)
