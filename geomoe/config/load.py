"""Load one checked :class:`~geomoe.config.schema.RunConfig` from defaults, environment, files and flags.

Precedence: defaults < environment < file < flags. :mod:`geomoe.config.values` converts each value to the type
that the classes declare. All faults of all sources are collected and reported together.

Options of a training method are in a section with its name (``moge.aux``), or in ``method`` for the method in
use (``method.aux``). A file may have sections for several methods, so that each of them can use it.
"""

from __future__ import annotations

import logging
import os
import shlex
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from geomoe.catalogue import CATALOGUE, METHODS
from geomoe.config.keys import (
    PREFIX,
    RESERVED,
    Key,
    Setting,
    find_key,
    keys,
    nearest_key,
    takes,
    type_name,
    variable_of,
)
from geomoe.config.rules import find_faults, find_wrong_numbers, refuse
from geomoe.config.schema import RunConfig
from geomoe.config.sections import in_sections
from geomoe.config.shipped import shipped
from geomoe.config.values import read_value
from geomoe.errors import ConfigError
from geomoe.support.bounded import read_yaml
from geomoe.support.plain import shown
from geomoe.support.text import is_utf8, why_not_utf8
from geomoe.support.words import nearest, unknown

log = logging.getLogger(__name__)


def load(
    name: str | None = None,
    file: str | os.PathLike[str] | None = None,
    flags: Iterable[Setting] = (),
    environment: Mapping[str, str] | None = None,
    faults: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Read one run's configuration.

    Args:
        name: name of a shipped configuration.
        file: a YAML file that overrides it.
        flags: settings of the command line, which override both.
        environment: environment variables; default: those of the process.
        faults: faults found before, to be reported together with those found here.
        values: settings of a Python program, by dotted key or in nested mappings; they override the files.

    Raises:
        ConfigError: lists every fault of every source.
    """
    faults, settings = list(faults), []
    variables = _from_environment(os.environ if environment is None else environment, faults)
    settings += variables
    for path in _files(name, file, faults):
        settings += _from_file(path, faults)
    _tell_beaten(variables, settings[len(variables) :])
    settings += [one._replace(value=_plain(one.value)) for one in flatten(values or {}, "settings", faults)]
    return _build([*settings, *flags], faults)


def _tell_beaten(variables: list[Setting], of_files: list[Setting]) -> None:
    """Say which variables do nothing, because a file has their key."""
    said = {one.key: one.source for one in of_files}
    for one in variables:
        if one.key in said:
            flag = f"--{one.key} {shlex.quote(str(one.value))}"
            _say(f"{one.source} does nothing: {said[one.key]} has {one.key}; give {flag}")


@cache
def _say(text: str) -> None:
    """Log a warning once: a bench reads a configuration for each of its rows."""
    log.warning("%s", text)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a program gives
    """A value of a Python program as a file would hold it: paths as text, numbers of NumPy as numbers."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def from_dict(values: Mapping[str, Any], where: str = "configuration", *, check: bool = True) -> RunConfig:
    """Read the configuration that :meth:`RunConfig.as_dict` wrote to a checkpoint or a file.

    Args:
        values: nested mapping; missing keys keep their defaults.
        where: name of the mapping in an error.
        check: also refuse impossible values and combinations, not only unknown keys and wrong types.

    Raises:
        ConfigError: lists every fault.
    """
    faults: list[str] = []
    return _build(flatten(values, where, faults), faults, check=check)


def read_config(values: Any) -> RunConfig:  # noqa: ANN401 - whatever a file holds
    """Rebuild the configuration from the values of :meth:`RunConfig.as_dict` in a checkpoint or config.yaml.

    Raises:
        ConfigError: not a mapping, keys unknown to this version of geomoe, or values of a wrong type.
    """
    return from_dict(_with_old_rules(values), check=False)


def _with_old_rules(values: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """Return the values with the rules of earlier versions, which had no key for them.

    Otherwise the samples on which an old run is evaluated would be split by another rule, and some of its
    training images would be test images.
    """
    data = values.get("data") if isinstance(values, dict) else None
    if isinstance(data, dict) and data.get("name") == "folder" and "split_version" not in data:
        return {**values, "data": {**data, "split_version": 1}}
    return values


def _build(settings: Iterable[Setting], faults: list[str], *, check: bool = True) -> RunConfig:
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for setting in in_sections(list(settings), faults, tell=check):
        try:
            values[setting.key] = convert(setting)
            wrong.discard(setting.key)
        except ConfigError as error:
            faults.append(str(error))
            wrong.add(setting.key)
    config = _construct(RunConfig, "", values)
    if not check:
        faults += find_wrong_numbers(config)
    else:  # leave out keys whose value was refused above: they would be checked with their default
        faults += [line for line in find_faults(config) if line.split(":")[0] not in wrong]
    refuse(faults)
    return config


def _construct(cls: Any, section: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for item in fields(cls):
        name = f"{section}.{item.name}" if section else item.name
        if is_dataclass(hints[item.name]):
            arguments[item.name] = _construct(hints[item.name], name, values)
        elif item.name == "options":
            arguments[item.name] = _options(values)
        elif name in values:
            arguments[item.name] = values[name]
    return cls(**arguments)


def _options(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, option = name.partition(".")
        if section in METHODS:
            found.setdefault(section, {})[option] = value
    return found


def convert(setting: Setting) -> Any:  # noqa: ANN401 - the type is that of the key
    """Convert one value to the type of its key.

    Raises:
        ConfigError: unknown key, or a value that is not of its type.
    """
    key = find_key(setting.key)
    if key is None:
        msg = f"{setting.key}: unknown key ({setting.source}){nearest_key(setting.key)}"
        raise ConfigError(msg)
    try:
        return read_value(key.hint, setting.value, text=setting.text)
    except ValueError as error:
        raise ConfigError(_wrong_type(key, setting)) from error


def _wrong_type(key: Key, setting: Setting) -> str:
    hint = ""
    if isinstance(setting.value, str) and not is_utf8(setting.value):
        hint = f"; {why_not_utf8(setting.value)}"
    elif typing.get_origin(key.hint) is Literal and isinstance(setting.value, str):
        hint = nearest(setting.value, typing.get_args(key.hint))
    elif str in (key.hint, *typing.get_args(key.hint)) and not isinstance(setting.value, str | list | dict):
        hint = "; put it in quotes if it is text"
    value = repr(setting.value)
    value = value if len(value) <= 200 else f"{value[:200]} ..."
    return f"{key.name}: expected {type_name(key.hint)}; got {value} ({setting.source}){hint}"


def _files(name: str | None, file: str | os.PathLike[str] | None, faults: list[str]) -> Iterator[Path]:
    if name is not None:
        known = shipped()
        name = name if isinstance(name, str) else str(name)
        if name in known:
            yield known[name]
        else:
            own = f"; a file of your own is given by --config {name}" if Path(name).is_file() else ""
            faults.append(_of_a_run(name) or unknown("NAME", "configuration", name, list(known)) + own)
    if file is not None:
        yield Path(file)


def _of_a_run(name: str) -> str:
    """The error text if NAME is the folder of a run, which is not how a run is resumed; else empty."""
    kept = os.path.join(name, "config.yaml")
    if not os.path.isfile(kept):
        return ""
    advice = f"repeat its command with --resume, or give --config {kept} --resume"
    return f"NAME: {name} is the folder of a run; {advice}"


def _from_file(path: Path, faults: list[str]) -> list[Setting]:
    try:
        data = read_yaml(path, ConfigError)
    except ConfigError as error:
        faults.append(str(error))
        return []
    return flatten({} if data is None else data, str(path), faults)


def flatten(data: Any, source: str, faults: list[str], section: str = "") -> list[Setting]:  # noqa: ANN401
    """The settings in the nested sections of a file; anything that is no section is added to ``faults``."""
    if not isinstance(data, Mapping):
        what = section or "configuration"
        faults.append(f"{what}: expected keys with values; got {shown(data)} ({source})")
        return []
    settings = []
    sections = {*(key.section for key in keys().values()), *METHODS, "method"}
    for key, value in data.items():
        name = f"{section}.{key}" if section else str(key)
        if name in sections or (name not in keys() and isinstance(value, Mapping)):
            settings += flatten(value, source, faults, name)
        else:
            settings.append(Setting(name, value, source, text=False))
    if not section:
        count = Counter(one.key for one in settings)
        twice = [key for key, times in count.items() if times > 1]
        faults.extend(f"{key}: is given twice, in its section and with a dot ({source})" for key in twice)
    return settings


def _from_environment(environment: Mapping[str, str], faults: list[str]) -> list[Setting]:
    settings = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if takes(key):
            settings.append(Setting(key, environment[variable], f"{variable} in the environment"))
        else:
            near = nearest(variable, [*RESERVED, *map(variable_of, keys())])
            faults.append(f"{variable}: unknown variable in the environment{near}")
    return settings


def data_set_of(name: str) -> str:
    """The data set for a name: the data set of that name, or that of the shipped configuration of that name.

    Raises:
        ConfigError: neither exists.
    """
    if name in CATALOGUE:
        return name
    if name in shipped():
        return load(name, environment={}).data.name
    raise ConfigError(unknown("NAME", "data set", name, list(dict.fromkeys([*CATALOGUE, *shipped()]))))
