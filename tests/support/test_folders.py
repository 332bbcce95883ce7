"""Folders are tried before the work, and a failure leaves no empty one."""

from __future__ import annotations

import errno
import tempfile

import pytest

from geomoe.errors import OutputError
from geomoe.support.files import check_folder, no_empty_folders


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
