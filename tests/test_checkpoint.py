from __future__ import annotations

import errno
import os
import pickle

import pytest
import torch
from torch import nn

from geomoe import checkpoint
from geomoe.checkpoint import load_checkpoint, load_weights, payload, save_checkpoint, write_atomically
from geomoe.config import DataConfig, RunConfig
from geomoe.errors import CheckpointError, OutputError

INFO = {"classes": ["a", "b"], "domains": ["x"], "bands": 3, "mean": [1.0], "std": [2.0], "held_out": None}


class Opens:
    """Runs code when it is unpickled: makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    layer = nn.Linear(3, 2)
    config = RunConfig(algorithm="erm", data=DataConfig(held_out="Asia"))
    path = save_checkpoint(tmp_path / "a.ckpt", layer, config, INFO)
    found = load_checkpoint(path)
    assert found.config == config
    assert found.info == INFO
    assert found.path == path
    assert set(found.state_dict) == {"model.weight", "model.bias"}
    assert set(found.network) == {"weight", "bias"}
    other = nn.Linear(3, 2)
    load_weights(other, found.network, path)
    assert torch.equal(other.weight, layer.weight)
    assert os.listdir(tmp_path) == ["a.ckpt"]


def _truncated(path):
    save_checkpoint(path, nn.Linear(50, 50), RunConfig(), INFO)
    path.write_bytes(path.read_bytes()[:-400])


def _flipped(path):
    save_checkpoint(path, nn.Linear(50, 50), RunConfig(), INFO)
    content = bytearray(path.read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(bytes(content))


BAD_FILES = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "empty file"),
    "truncated": (_truncated, "truncated or corrupt|nothing was executed"),
    "start overwritten": (_flipped, "truncated or corrupt|nothing was executed"),
    "text": (
        lambda path: path.write_text("weights: none\n"),
        "nothing was executed|truncated or corrupt",
    ),
    "foreign": (lambda path: torch.save({"state_dict": {}}, path), "not a checkpoint of geomoe"),
    "a bare tensor": (lambda path: torch.save(torch.ones(2), path), "not a checkpoint of geomoe"),
    "other version": (
        lambda path: torch.save({"state_dict": {}, "geomoe": {"format": 9}}, path),
        "format 9, expected 1",
    ),
    "no weights": (
        lambda path: torch.save({"geomoe": {"format": 1, "config": {}, "info": {}}}, path),
        "incomplete",
    ),
    "unknown key": (
        lambda path: torch.save(
            {"state_dict": {}, "geomoe": {"format": 1, "config": {"colour": 1}, "info": {}}}, path
        ),
        "configuration of another geomoe.*colour",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_that_are_refused(tmp_path, kind):
    make, message = BAD_FILES[kind]
    path = tmp_path / "bad.ckpt"
    make(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, save):
    made, path = tmp_path / "made", tmp_path / "evil.ckpt"
    save({"state_dict": {}, "geomoe": Opens(made)}, path)
    with pytest.raises(CheckpointError, match="nothing was executed"):
        load_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert made.exists(), "the file does run code where it is trusted, so the test means something"


def test_weights_of_another_model_are_named_together_and_change_nothing():
    model, before = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), None
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {
        "0.weight": torch.zeros(5, 3),
        "0.bias": torch.zeros(2),
        "1.weight": torch.zeros(2, 2),
        "extra": torch.ones(1),
    }
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, state, "x.ckpt")
    message = str(caught.value)
    assert "missing: 1.bias" in message
    assert "unexpected: extra" in message
    assert "misshaped: 0.weight (5, 3) in the file, (2, 3) in the model" in message
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "a.ckpt", nn.Linear(2, 2), RunConfig(), INFO)
    old = path.read_bytes()

    def full(content, file):
        file.write(b"half a fi")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(OutputError, match=r"a\.ckpt: cannot be written: No space left on device"):
        save_checkpoint(path, nn.Linear(2, 2), RunConfig(), INFO)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError, match=r"cannot be written: .*; free some space or choose another --output"
    ):
        write_atomically({}, tmp_path / "file" / "a.ckpt")


def test_a_full_disk_that_torch_reports_in_its_own_way(tmp_path, monkeypatch):
    def full(content, file):
        raise RuntimeError(
            "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nframe #0: ..."
        )

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(OutputError, match=r"cannot be written: \[enforce fail .* vs 0; free some space"):
        write_atomically({}, tmp_path / "a.ckpt")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [torch.ones(1), (1, 2), {1: 2}, object()])
def test_only_plain_facts_are_stored(value):
    with pytest.raises(TypeError, match=r"info\.fact"):
        payload(RunConfig(), {"fact": {"inner": [value]} if not isinstance(value, dict) else value})
