"""Files are whole or not there; several of them, all or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from geomoe.errors import OutputError
from geomoe.support.files import Workplace, made_folders, whole_file


def fill(place, text="new"):
    place.write("a.txt", lambda path: path.write_text(text))
    place.write("b.txt", lambda path: path.write_text(text))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_appear_together_and_replace_older_ones(tmp_path):
    folder = tmp_path / "deep" / "map"
    for text in ("old", "new"):
        with Workplace(folder, "the map") as place:
            fill(place, text)
            assert (folder / "a.txt").exists() == (text == "new")
            files = place.finish()
        assert files == (folder / "a.txt", folder / "b.txt")
        assert names(folder) == ["a.txt", "b.txt"]
        assert files[1].read_text() == text


def test_nothing_is_left_of_a_failure(tmp_path):
    folder = tmp_path / "deep" / "map"
    with pytest.raises(KeyError, match="boom"), Workplace(folder, "the map") as place:  # noqa: PT012
        fill(place)
        raise KeyError("boom")
    assert names(tmp_path) == []


def test_a_failure_leaves_older_files_as_they_were(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), Workplace(tmp_path, "the map") as place:  # noqa: PT012
        fill(place)
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/map: cannot write the map: .*; choose another --output"):
        Workplace(tmp_path / "file" / "map", "the map").__enter__()
    with pytest.raises(OutputError, match="cannot write the map"):
        Workplace(tmp_path / "file", "the map").__enter__()
    assert names(tmp_path) == ["file"]


def test_a_full_disk(tmp_path):
    def full(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(OutputError, match="No space left on device"),
        Workplace(tmp_path / "map", "the map") as place,
    ):
        place.write("a.txt", full)
    assert names(tmp_path) == []


def test_errors_of_reading_are_not_called_errors_of_writing(tmp_path):
    with pytest.raises(PermissionError, match="data"), Workplace(tmp_path / "map", "the map"):
        raise PermissionError("data")


def test_a_closed_workplace_takes_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="not open"):
        Workplace(tmp_path, "the map").write("a", lambda path: None)


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


def test_a_failure_leaves_no_folders_of_its_own(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "new" / "deep" / "a.txt")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_half(tmp_path / "file" / "a.txt")
    assert names(tmp_path) == ["file"]


def test_a_full_device_says_what_to_do(tmp_path):
    full = pytest.raises(OutputError, match=r"a\.txt: cannot be written: No space left on device; make space")
    with full, whole_file(tmp_path / "a.txt", "make space"):
        Path("/dev/full").write_text("x", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_stay_empty_are_gone_and_those_of_others_stay(tmp_path):
    (tmp_path / "old").mkdir()
    with made_folders(tmp_path / "old" / "a" / "b"):
        assert (tmp_path / "old" / "a" / "b").is_dir()
    assert names(tmp_path) == ["old"]
    with made_folders(tmp_path / "old"):
        pass
    assert names(tmp_path) == ["old"], "it was there before"
    with made_folders(tmp_path / "old" / "a" / "b"):
        (tmp_path / "old" / "a" / "kept").touch()
    assert names(tmp_path / "old" / "a") == ["kept"]


def test_what_a_new_file_outdates_goes_with_the_old_one(tmp_path):
    """The figure in another format is removed when the new one has come, not before."""
    (tmp_path / "map.svg").write_text("old")
    (tmp_path / "own.txt").write_text("the user's")
    with Workplace(tmp_path, "the map") as place:
        for name in ("map.svg", "map.png", "map.pdf"):
            place.outdates(name)
        place.write("map.png", lambda path: path.write_text("new"))
        assert (tmp_path / "map.svg").exists()
        place.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.png", "own.txt"]


def test_scratch_paths_are_absolute_and_outputs_are_no_names_of_gdal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_file("a:b/c.parquet") as scratch:
        assert scratch.is_absolute()
    assert (tmp_path / "a:b" / "c.parquet").is_file()
    with Workplace(Path("file:a"), "a map") as place:
        place.write("x", lambda path: path.write_text(str(path.is_absolute())))
        place.finish()
    assert (tmp_path / "file:a" / "x").read_text() == "True"
    with pytest.raises(OutputError, match=r"^/vsimem/a: is a name that GDAL"), whole_file("/vsimem/a"):
        pass
    with pytest.raises(OutputError, match=r"^/vsimem/a: is a name"), Workplace(Path("/vsimem/a"), "a map"):
        pass
