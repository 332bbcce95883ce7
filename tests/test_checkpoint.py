from __future__ import annotations

import errno
import os
import pickle

import pytest
import torch
from torch import nn

from geomoe import checkpoint
from geomoe.build import build_network
from geomoe.checkpoint import (
    KEY,
    load_checkpoint,
    load_weights,
    payload,
    read,
    save_checkpoint,
    write_atomically,
)
from geomoe.cli import main
from geomoe.config import DataConfig, EncoderConfig, RunConfig
from geomoe.errors import CheckpointError, OutputError

INFO = {
    "classes": ["a", "b"],
    "domains": ["x"],
    "bands": 3,
    "mean": [1.0] * 3,
    "std": [2.0] * 3,
    "held_out": None,
}


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
            {"state_dict": {}, "geomoe": {"format": 1, "config": {"colour": 1}, "info": INFO}}, path
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


# --- facts --------------------------------------------------------------------------------------

FULL = {
    "name": "folder", "classes": ["a", "b"], "domains": ["x", "y"], "uncounted": ["y"], "bands": 3,
    "image_size": 32, "source_pixels": 64, "mean": [1.0, 2.0, 3.0], "std": [2.0, 2.0, 2.0], "held_out": "x",
    "train_domains": [1], "split_seed": 0, "protocol": "official", "data_hash": "0a",
    "pixel_types": ["uint8"], "pixel_metres": {"median": 10.0}, "extent_metres": {"median": 640.0},
    "places": {"lon": [1.0], "lat": [2.0], "within_km": 0.5}, "encoder": {"capacity": 3, "dtype": "float32"},
}  # fmt: skip
NEEDED = ("classes", "domains", "bands", "mean", "std")
WRONG = [
    ("name", 3),
    ("classes", "ab"),
    ("classes", [1, 2]),
    ("classes", []),
    ("domains", {"x": 0}),
    ("uncounted", [0]),
    ("bands", "3"),
    ("bands", 3.0),
    ("bands", 0),
    ("bands", 2),
    ("image_size", "32"),
    ("source_pixels", 1.5),
    ("pixel_types", "uint8"),
    ("pixel_metres", [10.0]),
    ("extent_metres", {"median": "640"}),
    ("mean", 1.0),
    ("mean", ["1", "2", "3"]),
    ("mean", [1.0]),
    ("mean", [1.0, 2.0, None]),
    ("mean", [1.0, 2.0, float("nan")]),
    ("std", [2.0, 2.0, 0.0]),
    ("std", [2.0]),
    ("std", None),
    ("held_out", 1),
    ("train_domains", 1),
    ("train_domains", [2]),
    ("train_domains", [-1]),
    ("split_seed", "0"),
    ("protocol", 1),
    ("data_hash", 10),
    ("places", [1.0, 2.0]),
    ("places", {"lon": [1.0]}),
    ("places", {"lon": [1.0], "lat": []}),
    ("places", {"lon": ["1"], "lat": [2.0]}),
    ("encoder", "satclip"),
    ("encoder", {"capacity": [1]}),
]


def _with_facts(path, **changed):
    write_atomically({"state_dict": {}, KEY: {**payload(RunConfig(), FULL), **changed}}, path)
    return path


@pytest.mark.parametrize("key", FULL)
def test_a_fact_that_is_missing(tmp_path, key):
    path = _with_facts(tmp_path / "a.ckpt", info={name: FULL[name] for name in FULL if name != key})
    if key not in NEEDED:
        assert key not in load_checkpoint(path).info
        return
    with pytest.raises(CheckpointError, match=rf"a\.ckpt: damaged .*: info\.{key}: is missing; train again"):
        read(path)


@pytest.mark.parametrize(("key", "wrong"), WRONG)
def test_a_fact_of_another_type_is_one_line(tmp_path, key, wrong):
    path = _with_facts(tmp_path / "a.ckpt", info={**FULL, key: wrong})
    with pytest.raises(CheckpointError, match=r"a\.ckpt: damaged checkpoint.*: info\.") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_every_fact_is_tried():
    assert {key for key, _ in WRONG} == set(FULL)


@pytest.mark.parametrize(
    "changed", [{"info": None}, {"info": []}, {"network": 3}, {"network": None}, {"config": 3}]
)
def test_what_stands_beside_the_facts(tmp_path, changed):
    with pytest.raises(CheckpointError, match=r"a\.ckpt: "):
        load_checkpoint(_with_facts(tmp_path / "a.ckpt", **changed))


@pytest.mark.parametrize("state", [None, [], {1: torch.zeros(1)}, {"a": 1.0}])
def test_weights_that_are_none(tmp_path, state):
    path = write_atomically({"state_dict": state, KEY: payload(RunConfig(), FULL)}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="state_dict: expected weights by name"):
        load_checkpoint(path)


def test_facts_that_this_version_does_not_know_are_kept(tmp_path):
    path = _with_facts(tmp_path / "a.ckpt", info={**FULL, "later": {"deep": [1]}})
    assert load_checkpoint(path).info == {**FULL, "later": {"deep": [1]}}


@pytest.mark.parametrize("sizes", [{}, {"capacity": "3"}, {"legendre_polys": 4, "dtype": "int8"}])
def test_sizes_of_a_location_encoder_that_are_wrong(sizes):
    config = RunConfig(algorithm="moge", encoder=EncoderConfig(name="satclip", weights="gone.ckpt"))
    info = {**FULL, "encoder": {"other": 1, **sizes}}
    with pytest.raises(CheckpointError, match="sizes of SatCLIP in the checkpoint: encoder") as caught:
        build_network(config, info)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", ["predict", "map-experts"])
def test_the_command_says_so_with_status_2(tmp_path, capsys, verb):
    path = _with_facts(tmp_path / "a.ckpt", info={**FULL, "mean": "1"})
    (tmp_path / "images").mkdir()
    words = [str(tmp_path / "images")] if verb == "predict" else []
    output = str(tmp_path / ("out.csv" if verb == "predict" else "map"))
    assert main([verb, "--checkpoint", str(path), *words, "--output", output, "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "info.mean: expected a list; got '1'" in line


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("classes", ["a", "a"], "classes: expected different names"),
        ("domains", ["a", "b", "a"], "domains: expected different names"),
        ("image_size", 0, "image_size: expected 1 to 65,536 pixels"),
        ("image_size", 10**9, "image_size: expected 1 to 65,536 pixels"),
        ("source_pixels", 0, "source_pixels: expected pixels of an image"),
        ("pixel_metres", {"median": -1.0, "min": -1.0, "max": 1.0}, "pixel_metres: expected positive metres"),
        ("extent_metres", {"median": 0.0}, "extent_metres: expected positive metres"),
        ("places", {"lon": [1.0], "lat": [1000.0]}, "places: expected places on the Earth"),
        ("places", {"lon": [361.0], "lat": [0.0]}, "places: expected places on the Earth"),
        ("places", {"lon": [1.0], "lat": [1.0], "within_km": -1.0}, "places: expected places on the Earth"),
    ],
)
def test_facts_that_no_training_writes(tmp_path, key, value, said):
    """They were used: two columns of one name, distances to nowhere, images cut to a negative ground."""
    path = _with_facts(tmp_path / "a.ckpt", info={**FULL, key: value})
    with pytest.raises(CheckpointError, match=f"info.{said}"):
        load_checkpoint(path)
