"""A process that predicts into an output, as it looks to others: see test_files."""

from __future__ import annotations

import time

from geomoe.inference.journal import Journal


def hold(output, ready):
    """Keep the output until the process is killed."""
    with Journal(output, "key", resume=False):
        ready.touch()
        time.sleep(300)
