"""All files or none."""

from __future__ import annotations

import errno

import pytest

from geomoe.errors import OutputError
from geomoe.mapping.writing import Workplace


def fill(place, text="new"):
    place.write("a.txt", lambda path: path.write_text(text))
    place.write("b.txt", lambda path: path.write_text(text))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_appear_together_and_replace_older_ones(tmp_path):
    folder = tmp_path / "deep" / "map"
    for text in ("old", "new"):
        with Workplace(folder) as place:
            fill(place, text)
            assert (folder / "a.txt").exists() == (text == "new")
            files = place.finish()
        assert files == (folder / "a.txt", folder / "b.txt")
        assert names(folder) == ["a.txt", "b.txt"]
        assert files[1].read_text() == text


def test_nothing_is_left_of_a_failure(tmp_path):
    folder = tmp_path / "deep" / "map"
    with pytest.raises(KeyError, match="boom"), Workplace(folder) as place:  # noqa: PT012
        fill(place)
        raise KeyError("boom")
    assert names(tmp_path) == []


def test_a_failure_leaves_older_files_as_they_were(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), Workplace(tmp_path) as place:  # noqa: PT012
        fill(place)
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/map: cannot write the map: .*; choose another --output"):
        Workplace(tmp_path / "file" / "map").__enter__()
    with pytest.raises(OutputError, match="cannot write the map"):
        Workplace(tmp_path / "file").__enter__()
    assert names(tmp_path) == ["file"]


def test_a_full_disk(tmp_path):
    def full(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"), Workplace(tmp_path / "map") as place:
        place.write("a.txt", full)
    assert names(tmp_path) == []


def test_errors_of_reading_are_not_called_errors_of_writing(tmp_path):
    with pytest.raises(PermissionError, match="data"), Workplace(tmp_path / "map"):
        raise PermissionError("data")


def test_a_closed_workplace_takes_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="not open"):
        Workplace(tmp_path).write("a", lambda path: None)
