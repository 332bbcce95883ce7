"""Numbers that no machine could follow are refused, wherever they come from."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, is_dataclass

import pytest

from geomoe.config import RunConfig
from geomoe.config.limits import LIMITS
from geomoe.config.load import load, read_config
from geomoe.config.rules import find_faults
from geomoe.errors import ConfigError


def numbers(value, section=""):
    """Every key of the configuration that holds a number."""
    for item in fields(value):
        name, own = f"{section}{item.name}", getattr(value, item.name)
        if is_dataclass(own):
            yield from numbers(own, f"{name}.")
        elif "int" in str(item.type) or "float" in str(item.type):
            yield name


def test_every_number_has_limits_and_defaults_are_within():
    assert set(numbers(RunConfig())) == set(LIMITS)
    assert find_faults(RunConfig()) == []


@pytest.mark.parametrize("key", LIMITS)
def test_beyond_the_limit_is_refused_in_flags_files_and_checkpoints(key):
    from geomoe.config.keys import Setting

    limits = LIMITS[key]
    assert math.isfinite(limits.at_most if limits.at_most is not None else limits.below)
    value = limits.at_most * 2 if limits.at_most is not None else limits.below
    text = str(value)
    with pytest.raises(ConfigError, match=f"{key}: (must|expected)"):
        load(flags=[Setting(key, text, "--flag")], environment={})
    plain = asdict(RunConfig())
    plain.pop("options")
    section, _, name = key.rpartition(".")
    place = plain[section] if section else plain
    place[name] = [value] if isinstance(place[name], tuple) else value
    with pytest.raises(ConfigError, match=f"{key}: must be"):
        read_config(plain)
