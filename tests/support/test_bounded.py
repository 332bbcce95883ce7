"""Files of JSON and YAML that are bombs, endless or wrong, and plain values that are."""

from __future__ import annotations

import math
import os

import pytest
import yaml

from geomoe.errors import ConfigError, DataError
from geomoe.support.bounded import parse_json, read_json, read_yaml, refuse_bomb


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as JSON: No such file"),
        ("{", "cannot be read as JSON: Expecting"),
        ("[" * 200_000, "cannot be read as JSON: is nested more than 100 deep"),
        ("1" * 10_000, "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON: 'utf-8' codec"),
        ("[" + " " * 2000 + "]", "has more than 1,000 bytes; give another file"),
    ],
)
def test_files_that_hold_no_json(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_json(path, most=1000 if "1,000 bytes" in message else 10**6)
    assert str(caught.value).startswith(f"{path}: {message}")


def doubled(times):
    """A few lists that stand for 2**times values."""
    value = [0]
    for _ in range(times):
        value = [value, value]
    return value


def test_bombs_are_refused():
    refuse_bomb({"a": [1, {"b": (2,)}], "c": None})
    with pytest.raises(ValueError, match="holds more than 1,000 values"):
        refuse_bomb(doubled(60), most=1000)
    with pytest.raises(ValueError, match="holds more than 10 values"):
        refuse_bomb({str(number): number for number in range(11)}, most=10)
    turning = []
    turning.append(turning)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        refuse_bomb(turning)


def test_depth_of_json():
    assert parse_json("[" * 100 + "]" * 100)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        parse_json("[" * 101 + "]" * 101)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", r"aliases \(\*x\) are not read"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("<<: {a: 1}\na: 2", "keys are not merged"),
        ("b: {<<: {a: 1}}", "keys are not merged"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 2020-99-99", "not valid YAML: month must be in"),
        ("a: !!timestamp x", "not valid YAML: "),
        ("a: !!int x", "not valid YAML: "),
        ("[" * 5000, "not valid YAML: "),
        ("a: " + "[" * 150 + "]" * 150, "nested more than 100 deep"),
        ("? [1]\n: 2", "a key must be a name"),
        ("a: \x00", "not valid YAML: unreadable"),
        ("a: " + "x" * 1_000_001, "has more than 1,000,000 bytes"),
        ("1" * 5000, "not valid YAML: "),
    ],
)
def test_yaml_that_is_refused(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path, ConfigError)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_yaml_reads_what_was_written(tmp_path):
    value = {"a": {"b": [1, 2.5, None, True, "x: #y"]}, "c": "\u00e9"}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(value))
    assert read_yaml(path, ConfigError) == value


def test_yaml_has_no_numbers_of_base_8_or_60(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("[010, 1:30, 1:30.5, -07, 08, 0, -3, +4, 0x10, 0b11, 1_000, 1.5, -.5, 2.5e+3, .inf, 1e3]")
    read = read_yaml(path, ConfigError)
    assert read[:5] == ["010", "1:30", "1:30.5", "-07", "08"]
    assert read[5:] == [0, -3, 4, 16, 3, 1000, 1.5, -0.5, 2500.0, math.inf, "1e3"]


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices of Unix")
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "folder"])
@pytest.mark.parametrize(
    ("read", "error"), [(read_json, DataError), (lambda p: read_yaml(p, ConfigError), ConfigError)]
)
def test_what_never_ends_is_refused_at_once(tmp_path, kind, read, error):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(kind)
    with pytest.raises(error, match=r"is a pipe|is a device|Is a directory|is a folder"):
        read(path)


def test_a_key_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="has the key 'b' twice"):
        parse_json('{"a": 1, "c": {"b": 1, "b": 1}}')
    assert parse_json('{"a": {"b": 1}, "b": {"a": 2}}') == {"a": {"b": 1}, "b": {"a": 2}}
