from __future__ import annotations

import errno
import json
import os
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from geomoe.config import RunConfig
from geomoe.errors import ConfigError, DataError, OutputError
from geomoe.training import RunFolder, run_folder
from geomoe.training.record import facts, read_record
from tests import forked
from tests.training import run_worker


def _config(tmp_path, **keys):
    return RunConfig(output=str(tmp_path), **keys)


def _held_out(config, region):
    return replace(config, data=replace(config.data, held_out=region))


def test_where_runs_lie(tmp_path):
    config = _config(tmp_path, seed=3)
    assert run_folder(config).path == tmp_path / "bluemarble" / "moge" / "all-seed3"
    assert run_folder(_held_out(config, "Asia")).path.name == "held-out-asia-seed3"
    assert run_folder(config, dry_run=True).path.name == "all-seed3-dry"
    tiny = replace(config, model=replace(config.model, backbone="vit_tiny_patch16_224"))
    assert run_folder(tiny).path.name == "vit_tiny_patch16_224-all-seed3"
    assert (
        run_folder(replace(config, run_name="mine", algorithm="erm")).path
        == tmp_path / "bluemarble" / "erm" / "mine"
    )


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/abs"])
def test_a_run_name_is_one_folder(tmp_path, name):
    with pytest.raises(ConfigError, match="run_name"):
        run_folder(_config(tmp_path, run_name=name))


def test_an_existing_run_is_not_overwritten(tmp_path):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.check_new(replace=False)
    assert not folder.path.exists(), "checking leaves nothing behind"
    folder.start(config)
    with pytest.raises(OutputError, match="an unfinished run is there already; continue it with --resume"):
        folder.check_new(replace=False)
    folder.finish()
    with pytest.raises(
        OutputError, match="a finished run is there already; choose another --run_name"
    ) as caught:
        folder.check_new(replace=False)
    assert "resume" not in str(caught.value)
    folder.check_new(replace=True)


def test_resume_needs_the_same_configuration(tmp_path):
    config = _config(tmp_path)
    folder = run_folder(config)
    with pytest.raises(OutputError, match="no run to resume"):
        folder.check_resume(config)
    folder.start(config)
    folder.check_resume(config)
    other = replace(config, model=replace(config.model, top_k=2), optimizer=replace(config.optimizer, lr=0.5))
    with pytest.raises(ConfigError, match=r"model\.top_k: 3, now 2; optimizer\.lr: 0\.001, now 0\.5"):
        folder.check_resume(other)
    folder.check_resume(
        replace(config, output="elsewhere", trainer=replace(config.trainer, loggers=("csv",)))
    )
    folder.finish()
    with pytest.raises(OutputError, match="the run has ended"):
        folder.check_resume(config)


@pytest.mark.parametrize("text", ["", "- 1", "model: {colour: 1}", "a: [", "\x00"])
def test_a_broken_config_file_is_one_line(tmp_path, text):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.start(config)
    (folder.path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read") as caught:
        folder.check_resume(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'{"seed": 7, "star', b"[]", b"{}", b'{"starts": 3}', b"\xff\xfe"])
def test_a_broken_record_of_starts_is_one_line_before_anything_is_done(tmp_path, content):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.start(config)
    record = folder.path / "run.json"
    record.write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json: cannot be read: .*; bring it back, or remove") as caught:
        folder.check_resume(config)
    assert "\n" not in str(caught.value)
    assert record.read_bytes() == content
    record.unlink()
    folder.check_resume(config)


DROP = object()


def _changed(value, path, new):
    """A copy of nested objects with one value of another kind, or none."""
    first, *rest = path
    copy = value.copy()
    if rest:
        copy[first] = _changed(value[first], rest, new)
    elif new is DROP:
        del copy[first]
    else:
        copy[first] = new
    return copy


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("seed",), "7"),
        (("data",), []),
        (("data", "name"), 3),
        (("device",), None),
        (("versions",), {"torch": 2}),
        (("starts",), {}),
        (("starts", 0), 1),
        (("starts", 0, "time"), 1.5),
        (("starts", 0, "command"), "geomoe"),
        (("starts", 0, "git_commit"), False),
        (("starts", 0, "device"), 0),
        (("starts", 0, "versions"), None),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_each_fact_of_a_run_that_is_missing_or_of_another_type_is_one_line(tmp_path, path, wrong):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.start(config)
    folder.write_facts(facts(config, "1 x cpu", ["geomoe", "train"], {"name": "bluemarble"}))
    file = folder.path / "run.json"
    whole = json.loads(file.read_text())
    for new in (wrong, DROP):
        if new is DROP and path[-1] == 0:
            continue  # no start at all is none to complain of
        file.write_text(json.dumps(_changed(whole, path, new)))
        with pytest.raises(DataError, match=r"run\.json: cannot be read: ") as caught:
            folder.check_resume(config)
        named = ".".join(map(str, path))
        assert f"{named}: {'is missing' if new is DROP else 'expected'}" in str(caught.value) or (
            f"{named}." in str(caught.value)  # a value within
        )
        assert "\n" not in str(caught.value)
        with pytest.raises(DataError):
            folder.write_facts(facts(config, "1 x cpu", None, {"name": "bluemarble"}))
        assert json.loads(file.read_text()) == _changed(whole, path, new)


def test_more_in_a_record_than_this_version_knows_is_kept(tmp_path):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.start(config)
    folder.write_facts(
        {**facts(config, "1 x cpu", None, {"name": "bluemarble", "later": [1]}), "more": {"a": 1}}
    )
    folder.write_facts(facts(config, "1 x cpu", None, {"name": "bluemarble"}))
    found = read_record(folder.path / "run.json")
    assert (found["more"], found["data"]["later"], len(found["starts"])) == ({"a": 1}, [1], 2)


def test_a_record_that_is_nested_too_deeply(tmp_path):
    config = _config(tmp_path)
    folder = run_folder(config)
    folder.start(config)
    (folder.path / "run.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"run\.json: cannot be read: "):
        folder.check_resume(config)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "bluemarble").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be created: .*; choose another --output"):
        run_folder(_config(tmp_path)).check_new(replace=False)


def test_a_folder_without_permission(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="cannot be created: Permission denied; choose another --output"):
        run_folder(_config(tmp_path)).check_new(replace=False)


def test_a_full_disk_is_refused_before_training(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1, 1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="only 0 MB free, 64 needed; make space"):
        run_folder(_config(tmp_path)).check_new(replace=False)
    assert not (tmp_path / "bluemarble").exists()


def test_facts_keep_every_start(tmp_path):
    config = _config(tmp_path, seed=7)
    folder = run_folder(config)
    folder.start(config)
    for device, command in (("1 x cpu", ["geomoe", "train"]), ("1 x cuda", "geomoe train --resume")):
        folder.write_facts(facts(config, device, command, {"name": "bluemarble"}))
    found = json.loads((folder.path / "run.json").read_text())
    assert found["seed"] == 7
    assert found["versions"]["torch"]
    assert found["starts"][0]["versions"] == found["versions"]
    assert [start["command"] for start in found["starts"]] == [
        ["geomoe", "train"],
        ["geomoe", "train", "--resume"],
    ]
    assert found["device"] == "1 x cpu", "what was there stays"
    assert [start["device"] for start in found["starts"]] == ["1 x cpu", "1 x cuda"]
    assert sorted(os.listdir(folder.path)) == ["checkpoints", "config.yaml", "run.json"]


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "data" / "erm" / "run")
    other = forked.start(run_worker.hold, folder.path, tmp_path / "ready")
    try:
        forked.until((tmp_path / "ready").exists, other)
        with (
            pytest.raises(OutputError, match=r"another process is training in .*run; wait for it"),
            folder.alone(),
        ):
            pytest.fail("two at once")
    finally:
        other.kill()
    other.join()
    with folder.alone():  # what a killed process held is free
        assert folder.path.parent.exists()
    assert not list(folder.path.parent.glob(".*"))


def test_a_folder_without_files_is_begun_again(tiny):
    folder = run_folder(tiny("erm"))
    (folder.path / "checkpoints").mkdir(parents=True)  # a kill in the first moments left this
    folder.check_new(replace=False)
    folder.start(tiny("erm"))
    with pytest.raises(OutputError, match="an unfinished run is there already"):
        folder.check_new(replace=False)
