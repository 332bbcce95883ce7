"""Processes of their own without their own import of torch: a server that has imported it forks them.

Importing torch, Lightning and geomoe takes a process several seconds. Where the start of Python, its
streams or its words are what is tested, use subprocess.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRELOAD = ["geomoe.bench.running.perform", "geomoe.inference.files", "geomoe.datasets.folder.reader"]


def start(target, *args, said=os.devnull, **environment):
    """Call ``target(*args)`` in another process.

    Args:
        target: a function at the top of a module.
        args: what can be pickled.
        said: file for its stderr.
        environment: variables that are set in it.

    Returns:
        The process, which has begun; end it whatever happens, Python waits for it otherwise.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_run, args=(target, args, str(said), {**os.environ, **environment}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # for the server
        process.start()
    return process


def both(target, orders, folder, **environment):
    """Call ``target(order)`` in as many processes at a time as there are orders; all must end well."""
    said = [folder / f"stderr-{number}.txt" for number in range(len(orders))]
    running = [
        start(target, order, said=file, **environment) for order, file in zip(orders, said, strict=True)
    ]
    try:
        for process in running:
            process.join(300)
    finally:
        for process in running:
            process.kill()
    assert [process.exitcode for process in running] == [0] * len(orders), "\n".join(
        file.read_text() for file in said
    )


def until(condition, process, seconds=120):
    """Wait until something is so, as long as a process is alive."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), f"it ended with {process.exitcode}"
        assert time.monotonic() < end
        time.sleep(0.01)


def killed(process):
    """Kill it in the middle of what it does."""
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _run(target, args, said, environment):
    os.environ.clear()
    os.environ.update(environment)
    with open(said, "w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    target(*args)
