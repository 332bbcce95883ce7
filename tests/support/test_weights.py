"""Weights files: damage is found, nothing runs or hangs, and what is not finite has a name."""

from __future__ import annotations

import os
import zipfile

import pytest
import torch
from torch import nn

from geomoe.errors import CheckpointError
from geomoe.support.weights import differences, read_weights, refuse_foreign, refuse_not_finite


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        read_weights(path, "give a file")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_was_written_is_read(tmp_path, zipped):
    layer = nn.Linear(3, 2)
    torch.save(layer.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    for mapped in (False, True):
        found = read_weights(tmp_path / "a.pth", "", mapped=mapped)
        assert all(torch.equal(found[name], value) for name, value in layer.state_dict().items())


def test_a_changed_byte_in_a_tensor_is_found(tmp_path):
    path = tmp_path / "a.pth"
    value = torch.arange(1000.0)
    torch.save({"w": value}, path)
    content = path.read_bytes()
    place = content.index(value.numpy().tobytes()) + 2001
    path.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
    assert not torch.equal(torch.load(path, weights_only=True)["w"], value), "torch itself reads it"
    assert "check sum" in refusal(path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    assert "is a pipe, not a file; give a file" in refusal(tmp_path / "a.pth")


def test_a_compressed_part_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", bytes(10**6))
    assert "compressed" in refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_not_finite_has_a_name(bad, dtype):
    state = {
        "fine": torch.ones(3, dtype=dtype),
        "count": torch.tensor(3),
        "b.weight": torch.ones(9).to(dtype),
    }
    refuse_not_finite("x.ckpt", state)
    state["b.weight"][4] = bad
    with pytest.raises(CheckpointError, match=r"x\.ckpt: b\.weight holds NaN or infinity \(1 of 9 values\)"):
        refuse_not_finite("x.ckpt", state)


def test_a_sum_that_overflows_is_no_fault():
    refuse_not_finite("x.ckpt", {"w": torch.full((10,), 60000.0, dtype=torch.float16)})


def test_differences_are_all_named():
    found = {"a": torch.ones(2), "c": torch.ones(1), "d": "text"}
    text = differences({"a": (3,), "b": (1,), "d": (1,), "e": (1,)}, found, optional={"e"})
    assert text == (
        "missing: b; unexpected: c; no tensors: d; misshaped: a (2,) in the file, (3,) in the model"
    )
    assert differences({"a": (2,)}, {"a": torch.ones(2)}) == ""
    with pytest.raises(CheckpointError, match=r"^w: of others: missing: b$"):
        refuse_foreign("w", {"b": torch.ones(1)}, {}, of="of others")
