"""Hidden folders of killed processes are removed; those of living ones, and all other files, stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from geomoe.support.files import Workplace
from geomoe.support.leftovers import hidden_folder, remove_leftovers

WORK = """
import sys, time
from pathlib import Path
from geomoe.support.files import Workplace
with Workplace(Path(sys.argv[1]), "a test") as work:
    work.write("a.txt", lambda path: path.write_text("half"))
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that works in the folder."""
    process = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.wait()


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".new-")]


def test_what_a_killed_process_left_is_removed_by_the_next(other, tmp_path):
    (left,) = hidden(tmp_path)
    with Workplace(tmp_path, "a test") as work:
        assert left in hidden(tmp_path)  # the other one lives
        assert len(hidden(tmp_path)) == 2
        work.write("b.txt", lambda path: path.write_text("whole"))
        work.finish()
    assert hidden(tmp_path) == [left]
    other.send_signal(signal.SIGKILL)
    other.wait()
    with Workplace(tmp_path, "a test"):
        assert left not in hidden(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_other_files_stay(tmp_path):
    away = tmp_path / "away"
    (away / "kept").mkdir(parents=True)
    folder = tmp_path / "here"
    for name in (".new-", ".new-mine", ".new-abcdefghi", "new-abcdefgh"):
        (folder / name).mkdir(parents=True)
    (folder / ".new-abcdefgh").symlink_to(away)
    (folder / ".new-00000000").write_text("a file")
    before = sorted(folder.iterdir())
    (folder / ".new-leftover").mkdir()
    remove_leftovers(folder)
    assert sorted(folder.iterdir()) == before
    assert (away / "kept").is_dir()


def test_a_folder_that_was_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    opened, made = os.open, []

    def gone(path, *rest, **more):
        if not made:
            made.append(path)
            os.rmdir(path)
        return opened(path, *rest, **more)

    monkeypatch.setattr("geomoe.support.leftovers.os.open", gone)
    with hidden_folder(tmp_path) as path:
        assert path.is_dir()
        assert path != made[0]
    assert list(tmp_path.iterdir()) == []


def test_the_folder_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    with hidden_folder(Path("here")) as path:
        assert list(Path("here").iterdir()) == [path]
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]
