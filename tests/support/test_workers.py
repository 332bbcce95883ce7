"""Processes that read images need file handles; with too few there is a message, and no wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

from geomoe.errors import ConfigError  # noqa: E402
from geomoe.support import workers  # noqa: E402
from geomoe.support.workers import check_handles  # noqa: E402


@pytest.fixture
def limits(monkeypatch):
    """Limits of a system, and what was asked of it."""
    asked = []

    def use(soft, hard, now=10):
        monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda which, pair: asked.append(pair))
        monkeypatch.setattr(workers, "_open_now", lambda: now)
        return asked

    return use


def test_no_process_needs_no_handle(limits):
    limits(1, 1)
    check_handles(0, 1000)


def test_enough_is_left_alone(limits):
    asked = limits(1024, 4096)
    check_handles(4, 12)
    assert asked == []


def test_a_soft_limit_is_raised(limits):
    asked = limits(64, 4096)
    check_handles(4, 12)  # 10 now, 48 to spare, 12 at hand, 4 times 6 and 2 times 12
    assert asked == [(10 + 48 + 12 + 4 * 30, 4096)]


def test_a_hard_limit_is_told(limits):
    limits(64, 150)
    with pytest.raises(ConfigError) as caught:
        check_handles(4, 12)
    assert str(caught.value) == (
        "num_workers: 4 processes need 190 file handles and 150 are allowed (ulimit -n); "
        "raise the limit, or use at most 2 processes"
    )
    check_handles(2, 12)
    limits(64, 64)
    with pytest.raises(ConfigError, match=r"use no other process \(0\)"):
        check_handles(1, 12)


CODE = """
import os, resource, torch
from geomoe.cli import main
from geomoe.errors import ConfigError
from geomoe.support.workers import open_loader

def answer(limit):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    data = [torch.full((1000,), i) for i in range(200)]
    try:
        loader = open_loader(data, num_workers=2, tensors=20, batch_size=20, collate_fn=list)
        return str(sum(int(one[0]) for batch in loader for one in batch))
    except ConfigError as error:
        return str(error)

def run(limit):
    reading, writing = os.pipe()
    if os.fork() == 0:  # a limit that was lowered cannot be raised again
        os.write(writing, answer(limit).encode())
        os._exit(0)
    os.wait()
    said = os.read(reading, 10_000).decode()
    os.close(reading)
    os.close(writing)
    return said

told = run(100)
need = int(told.split(" need ")[1].split()[0].replace(",", ""))
print(told, run(need), run(need - 1), sep="|")
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts handles in /proc")
def test_what_is_let_through_works():
    """The number that is asked for is enough, and one less is refused."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True
    )
    told, enough, less = done.stdout.strip().split("|")
    assert enough == str(sum(range(200)))
    for refused in (told, less):
        assert "are allowed (ulimit -n)" in refused
