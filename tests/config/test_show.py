"""What is printed is the configuration."""

from __future__ import annotations

import pytest
import yaml

from geomoe.config import DataConfig, OptimizerConfig, RunConfig
from geomoe.config.keys import keys, method_keys
from geomoe.config.load import from_dict, load
from geomoe.config.shipped import shipped
from geomoe.config.show import keys_parser, to_yaml

ODD = RunConfig(
    run_name="yes: #1 'x'",
    data=DataConfig(root="C:\\data\n2", held_out="Asia"),
    optimizer=OptimizerConfig(lr=1e-7),
)


@pytest.mark.parametrize("config", [RunConfig(), ODD, *(load(name, environment={}) for name in shipped())])
def test_yaml_reads_back_as_the_same_configuration(config):
    assert from_dict(yaml.safe_load(to_yaml(config))) == config


def test_yaml_explains_every_key():
    lines = [line for line in to_yaml(RunConfig()).splitlines() if line]
    assert all(" # " in line for line in lines)
    assert len(lines) == len(keys()) + 6 + len(method_keys("moge")) + 1  # one for each section


def test_help_lists_every_key_with_its_meaning():
    text = " ".join(keys_parser().format_help().split())
    for key in keys().values():
        assert f"--{key.name} " in text
        assert key.doc in text


def test_the_parser_agrees_with_the_classes():
    parsed = keys_parser().parse_object({"model": {"top_k": 2}})
    assert parsed.model.top_k == 2
    assert from_dict(yaml.safe_load(to_yaml(RunConfig()))) == RunConfig()
