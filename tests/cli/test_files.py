"""Output is whole or not there, and a failure leaves no empty folder."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from geomoe.cli.files import check_folder, no_empty_folders, whole_file
from geomoe.errors import OutputError


def test_trying_a_folder_leaves_nothing(tmp_path):
    assert check_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_under_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file; choose another output"):
        check_folder(tmp_path / "file" / "b")


def test_a_folder_that_nothing_can_be_written_to(tmp_path, monkeypatch):
    def denied(**options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    with pytest.raises(OutputError, match="cannot be written: Permission denied; choose another output"):
        check_folder(tmp_path / "a")


def test_a_file_appears_whole_with_the_usual_permissions(tmp_path):
    before = os.umask(0o022)
    try:
        with whole_file(tmp_path / "new" / "a.txt") as scratch:
            scratch.write_text("whole", encoding="utf-8")
            assert not (tmp_path / "new" / "a.txt").exists()
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "whole"
    assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o777 == 0o644
    assert len(list((tmp_path / "new").iterdir())) == 1


def write_half(path):
    with whole_file(path) as scratch:
        scratch.write_text("half", encoding="utf-8")
        raise RuntimeError


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "a.txt")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["old"]


def test_a_full_device(tmp_path):
    with pytest.raises(OutputError, match="No space left on device"), whole_file(tmp_path / "a.txt"):
        Path("/dev/full").write_text("x", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def fail_in(folder, *names):
    """Make folders (names that end in /) and files, then fail."""
    with no_empty_folders(folder):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
        raise RuntimeError


def test_folders_of_a_failure(tmp_path):
    (tmp_path / "mine").mkdir()
    for folder in ("mine", "new/run"):
        with pytest.raises(RuntimeError):
            fail_in(tmp_path / folder, "a/b/")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(RuntimeError):
        fail_in(tmp_path / "kept", "empty/", "file")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["file"]
