"""What killed processes left is removed, what others are writing is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from geomoe.support import leftovers
from geomoe.support.files import Workplace, whole_file

pytest.importorskip("fcntl")

KILLED = """
import os, sys
from pathlib import Path
from geomoe.support.files import Workplace, whole_file
folder = Path(sys.argv[1])
with whole_file(folder / "a.csv") as scratch, Workplace(folder, "the report") as place:
    scratch.write_text("half")
    place.write("x.json", lambda path: path.write_text("half"))
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_again(folder):
    with whole_file(folder / "a.csv") as scratch:
        scratch.write_text("whole")
    with Workplace(folder, "the report") as place:
        place.write("x.json", lambda path: path.write_text("whole"))
        place.finish()


def test_only_what_nobody_uses_is_swept(tmp_path):
    (tmp_path / ".a-important.csv").touch()  # not a name of tempfile's
    (tmp_path / ".b-abcdefgh.csv").touch()  # of another output
    other = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"ready\n"
    write_again(tmp_path)
    assert len(names(tmp_path)) == 6  # with the file and the folder of the other process
    other.communicate(b"")
    assert other.returncode == 9
    assert len(names(tmp_path)) == 6
    write_again(tmp_path)
    assert names(tmp_path) == [".a-important.csv", ".b-abcdefgh.csv", "a.csv", "x.json"]
    assert (tmp_path / "a.csv").read_text() == "whole"


def test_without_locks_only_what_is_a_day_old(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "lock", lambda *given: False)
    for name, age in ((".a-abcdefgh.csv", 2 * leftovers.DAY), (".a-abcdefgi.csv", 60)):
        (tmp_path / name).touch()
        changed = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (changed, changed))
    leftovers.sweep(tmp_path, ".a-", ".csv")
    assert names(tmp_path) == [".a-abcdefgi.csv"]


def test_links_are_left_alone(tmp_path):
    (tmp_path / "kept").touch()
    (tmp_path / ".a-abcdefgh.csv").symlink_to("kept")
    leftovers.sweep(tmp_path, ".a-", ".csv")
    assert names(tmp_path) == [".a-abcdefgh.csv", "kept"]
