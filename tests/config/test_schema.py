"""The classes: frozen, documented key by key, plain both ways."""

from __future__ import annotations

import dataclasses
import json

import pytest

from geomoe.config import DataConfig, ModelConfig, RunConfig
from geomoe.config.keys import keys
from geomoe.config.load import read_config
from geomoe.config.rules import check, find_faults
from geomoe.errors import ConfigError


def test_every_key_says_what_it_is():
    assert all(key.doc.endswith(".") for key in keys().values())
    assert len(keys()) == len(set(keys())) > 50


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().data.name = "other"


def test_the_defaults_can_run():
    assert find_faults(RunConfig()) == []


def test_as_dict_is_plain_and_comes_back():
    config = RunConfig(model=ModelConfig(moge_blocks=(8, 10)), data=DataConfig(held_out="Asia"))
    plain = json.loads(json.dumps(config.as_dict()))
    assert plain["model"]["moge_blocks"] == [8, 10]
    assert read_config(plain) == config


def test_from_dict_keeps_what_only_python_knows():
    """A checkpoint of a user's own data set is read back; only the command line knows names by heart."""
    config = RunConfig(data=DataConfig(name="mine", held_out="Atlantis"))
    assert read_config(config.as_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "configuration: expected keys with values; got null"),
        ({"data": 3}, "data: expected keys with values; got 3"),
        ({"modle": {"top_k": 1}}, r"modle.top_k: unknown key .*did you mean model.top_k\?"),
        ({"model": {"top_k": "three"}}, "model.top_k: expected a whole number; got 'three'"),
        ({"data": {"name": None}}, "data.name: expected text; got None"),
    ],
)
def test_from_dict_refuses(values, message):
    with pytest.raises(ConfigError, match=message):
        read_config(values)


def test_check_names_every_fault_at_once():
    bad = RunConfig(seed=-1, model=ModelConfig(top_k=9, gamma=1.5))
    with pytest.raises(ConfigError) as caught:
        check(bad)
    first, *rest = str(caught.value).splitlines()
    assert first == "3 faults in the configuration:"
    assert [line.split(":")[0].strip() for line in rest] == ["seed", "model.gamma", "model.top_k"]
