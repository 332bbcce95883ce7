"""A folder is searched with its links, and whatever is left out is named."""

from __future__ import annotations

import os

import pytest

from geomoe.inference.inputs import collect
from geomoe.support.walking import walk


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_links_are_followed_or_listed(tmp_path):
    given, store = tmp_path / "given", tmp_path / "store"
    make(given, "site1/a.png", "site1/note.txt", ".hidden/h.png")
    make(store, "site2/b.png", "c.png")
    (given / "site2").symlink_to(store / "site2")
    (given / "c.png").symlink_to(store / "c.png")
    (given / "again").symlink_to(given / "site1")
    (given / "site1/up").symlink_to(given)
    (given / "self").symlink_to(given / "self")
    (given / "site1/gone.png").symlink_to(tmp_path / "nothing.png")
    (given / "site3").symlink_to(tmp_path / "nothing")
    os.mkfifo(given / "pipe.png")
    found = walk(given, lambda name: name.endswith(".png"), within=True, ignored=lambda name: name[0] == ".")
    assert [path.relative_to(given).as_posix() for path in found.files] == ["again/a.png", "site1/a.png"]
    reasons = {path.relative_to(given).as_posix(): reason for path, reason in found.left_out}
    out = f"a link that leads out of {given}; give its"
    assert reasons == {
        "again/gone.png": "a link to nothing",
        "again/up": "a link to a folder that it is in",
        "c.png": f"{out} file by name",
        "pipe.png": "no regular file",
        "self": "a link to nothing",
        "site1/gone.png": "a link to nothing",
        "site1/up": "a link to a folder that it is in",
        "site2": f"{out} folder by name",
        "site3": "a link to nothing",
    }
    everywhere = walk(given, lambda name: name.endswith(".png"))
    names = {path.relative_to(given).as_posix() for path in everywhere.files}
    assert {"site2/b.png", "c.png", "site1/a.png", ".hidden/h.png"} <= names
    assert walk(given / "again", lambda name: name == "a.png").files == [given / "again/a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may open every folder")
def test_a_folder_that_cannot_be_opened_is_listed(tmp_path):
    make(tmp_path, "shut/a.png")
    (tmp_path / "shut").chmod(0)
    found = walk(tmp_path, lambda name: True)
    (tmp_path / "shut").chmod(0o700)
    assert not found.files
    assert found.left_out[0][1].startswith("the folder cannot be opened: ")


def test_a_prediction_lists_them_and_takes_both_folders_when_both_are_given(tmp_path):
    make(tmp_path, "given/site1/a.png", "store/b.png")
    (tmp_path / "given/site2").symlink_to(tmp_path / "store")
    items, skipped = collect([tmp_path / "given"])
    assert [item.path.name for item in items] == ["a.png"]
    assert [(skip.filename, skip.reason) for skip in skipped] == [
        (
            (tmp_path / "given/site2").as_posix(),
            f"a link that leads out of {tmp_path / 'given'}; give its folder by name",
        )
    ]
    items, _ = collect([tmp_path / "given", tmp_path / "given/site2"])
    assert [item.path.name for item in items] == ["a.png", "b.png"]
