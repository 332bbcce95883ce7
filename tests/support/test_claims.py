"""Claims: one holder at a time, take-over of the dead and the silent, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from geomoe.errors import OutputError
from geomoe.support.claims import Claims, machine

HOLD = """
import sys, time
from pathlib import Path
from geomoe.support.claims import Claims
claim = Claims(Path(sys.argv[1]), stale=float(sys.argv[2])).take("run")
print("taken" if claim else "busy", flush=True)
with claim:
    time.sleep(60)
"""


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims", stale=30)


def start(folder, stale=30):
    """A process that holds the claim."""
    one = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(stale)], stdout=subprocess.PIPE, text=True
    )
    assert one.stdout.readline() == "taken\n"
    return one


def age(folder, seconds):
    (file,) = folder.glob("run.*")
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_one_holder_at_a_time(claims):
    with claims.take("run") as claim:
        assert claim is not None
        assert claims.take("run") is None
        assert claims.take("run.1") is not None  # another piece of work, whatever its name
        holder = claims.holder("run")
        assert (holder.machine, holder.pid) == (machine(), os.getpid())
        assert str(os.getpid()) in str(holder)
    assert claims.holder("run") is None
    assert claims.take("run") is not None


def test_many_threads_and_one_wins(claims):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: claims.take("run"), range(40)))
    assert sum(one is not None for one in found) == 1
    assert not list(claims.folder.glob(".new-*"))


def test_a_killed_process_is_followed_at_once(claims):
    one = start(claims.folder)
    assert claims.take("run") is None
    one.send_signal(signal.SIGKILL)
    one.wait()
    with claims.take("run") as claim:
        assert claim is not None
        assert [path.name for path in claims.folder.glob("run.*")] == ["run.2"]


def test_many_see_the_dead_and_one_takes_over(claims):
    one = start(claims.folder)
    one.kill()
    one.wait()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: claims.take("run"), range(40)))
    assert sum(claim is not None for claim in found) == 1


def test_a_silent_process_of_another_machine(claims):
    claims.folder.mkdir()
    (claims.folder / "run.1").write_text(json.dumps({"machine": "elsewhere", "pid": 1}))
    assert claims.take("run") is None
    age(claims.folder, 29)
    assert claims.take("run") is None
    age(claims.folder, 31)
    assert claims.take("run") is not None


def test_a_damaged_claim_counts_until_it_is_old(claims):
    claims.folder.mkdir()
    (claims.folder / "run.1").write_text("")
    assert claims.take("run") is None
    assert str(claims.holder("run")) == "an unknown machine"
    age(claims.folder, 31)
    assert claims.take("run") is not None


def test_a_holder_that_slept_learns_that_it_lost(tmp_path):
    slow = Claims(tmp_path, stale=0.6)  # a sign of life every 0.1 s
    claim = slow.take("run")  # no thread yet: it is asleep
    age(tmp_path, 5)
    with Claims(tmp_path, stale=0.6).take("run") as other:
        assert other is not None
        with claim:
            assert claim.lost.wait(5)
        assert slow.holder("run") is not None  # the loser has not removed the winner's file
        assert not other.lost.is_set()


@pytest.mark.long
@pytest.mark.slow
def test_signs_of_life_keep_a_claim(tmp_path):
    one = start(tmp_path, stale=1.0)
    try:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert Claims(tmp_path, stale=1.0).take("run") is None
            time.sleep(0.1)
    finally:
        one.kill()
        one.wait()


def test_a_file_system_without_links(claims, monkeypatch):
    def refuse(*args):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with claims.take("run") as claim:
        assert claim is not None
        assert claims.take("run") is None
        assert claims.holder("run").pid == os.getpid()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --output"):
        Claims(tmp_path / "file" / "claims").take("run")
