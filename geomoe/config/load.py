"""From defaults, environment, files and flags to one checked :class:`~geomoe.config.schema.RunConfig`.

Precedence: defaults < environment < file < flags. jsonargparse turns each value into the type that
the classes declare. All faults of all sources are collected and reported together.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from geomoe.catalogue import CATALOGUE
from geomoe.config.rules import find_faults, refuse
from geomoe.config.schema import RunConfig
from geomoe.errors import ConfigError
from geomoe.support.files import read_text
from geomoe.support.words import nearest, unknown

PREFIX = "GEOMOE_"
#: Variables of this prefix that are not configuration keys; see docs/cli.md.
RESERVED = ("GEOMOE_CACHE", "GEOMOE_OFFLINE", "GEOMOE_REQUIRE_BROWSER")


class Key(NamedTuple):
    """One configuration key: where it belongs, what it may hold, what it means."""

    name: str
    section: str
    hint: Any
    default: Any
    doc: str


class Setting(NamedTuple):
    """One value, as it came, and where it came from (named in errors)."""

    key: str
    value: Any
    source: str


@cache
def keys() -> dict[str, Key]:
    """Every key of :class:`RunConfig` by its dotted name, in the order of the classes."""
    return {key.name: key for key in _keys_of(RunConfig, "")}


def _keys_of(cls: type, section: str) -> Iterator[Key]:
    hints, docs = typing.get_type_hints(cls), argument_docs(cls)
    for item in fields(cls):
        hint, name = hints[item.name], f"{section}.{item.name}" if section else item.name
        if is_dataclass(hint):
            yield from _keys_of(typing.cast(type, hint), name)
            continue
        default = item.default if item.default is not MISSING else None
        yield Key(name, section, hint, default, docs[item.name])


def argument_docs(cls: type) -> dict[str, str]:
    """Argument name -> text, from the ``Args:`` part of a Google docstring."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {8,}\S.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(doc.split()) for name, doc in found}


def config_folder() -> Path:
    """The folder of shipped configurations: in the installed package, else in the checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def shipped() -> dict[str, Path]:
    """Shipped configurations: name -> file."""
    return {path.stem: path for path in sorted(config_folder().glob("*.yaml"), key=_stem)}


def _stem(path: Path) -> str:
    return path.stem


def load(
    name: str | None = None,
    file: str | os.PathLike[str] | None = None,
    flags: Iterable[Setting] = (),
    environment: Mapping[str, str] | None = None,
    faults: Iterable[str] = (),
) -> RunConfig:
    """Read one run's configuration.

    Args:
        name: a shipped configuration.
        file: a YAML file that is laid over it.
        flags: settings of the command line, laid over both.
        environment: variables; default: those of the process.
        faults: faults found before, to be reported together with those found here.

    Raises:
        ConfigError: with every fault of every source.
    """
    faults, settings = list(faults), []
    settings += _from_environment(os.environ if environment is None else environment, faults)
    for path in _files(name, file, faults):
        settings += _from_file(path, faults)
    return _build([*settings, *flags], faults)


def from_dict(values: Mapping[str, Any], where: str = "configuration", *, check: bool = True) -> RunConfig:
    """The configuration that :meth:`RunConfig.as_dict` wrote, in a checkpoint or a file.

    Args:
        values: nested mapping; keys that are left out keep their defaults.
        where: what to call the mapping in an error.
        check: also refuse impossible values and combinations, not only unknown keys and types.

    Raises:
        ConfigError: with every fault.
    """
    faults: list[str] = []
    return _build(_flatten(values, where, faults), faults, check=check)


def read_config(values: Any) -> RunConfig:  # noqa: ANN401 - whatever a file holds
    """Rebuild what :meth:`RunConfig.as_dict` wrote, as read from a checkpoint or config.yaml.

    Raises:
        ConfigError: not a mapping, keys that this geomoe does not know, values of a wrong type.
    """
    return from_dict(values, check=False)


def _build(settings: Iterable[Setting], faults: list[str], *, check: bool = True) -> RunConfig:
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for setting in settings:
        try:
            values[setting.key] = convert(setting)
            wrong.discard(setting.key)
        except ConfigError as error:
            faults.append(str(error))
            wrong.add(setting.key)
    config = _construct(RunConfig, "", values)
    if check:  # a key whose value was refused above is not judged again by its default
        faults += [line for line in find_faults(config) if line.split(":")[0] not in wrong]
    refuse(faults)
    return config


def _construct(cls: Any, section: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    hints = typing.get_type_hints(cls)
    arguments = {}
    for item in fields(cls):
        name = f"{section}.{item.name}" if section else item.name
        if is_dataclass(hints[item.name]):
            arguments[item.name] = _construct(hints[item.name], name, values)
        elif name in values:
            arguments[item.name] = values[name]
    return cls(**arguments)


def convert(setting: Setting) -> Any:  # noqa: ANN401 - the type is that of the key
    """Bring one value to the type of its key.

    Raises:
        ConfigError: unknown key, or a value that is not of its type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    if setting.key not in keys():
        msg = f"{setting.key}: unknown key ({setting.source}){nearest_key(setting.key)}"
        raise ConfigError(msg)
    key, value = keys()[setting.key], setting.value
    if typing.get_origin(key.hint) is tuple and isinstance(value, str) and not value.startswith("["):
        value = f"[{value}]"  # --model.moge_blocks 2,3
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--value", type=key.hint)
    try:
        result = parser.parse_object({"value": value}).value
    except ArgumentError as error:
        raise ConfigError(_wrong_type(key, setting)) from error
    empty = result is None and type(None) not in typing.get_args(key.hint)  # which jsonargparse lets pass
    if empty or (isinstance(result, float) and not math.isfinite(result)):
        raise ConfigError(_wrong_type(key, setting))
    return result


def _wrong_type(key: Key, setting: Setting) -> str:
    hint = ""
    if typing.get_origin(key.hint) is Literal and isinstance(setting.value, str):
        hint = nearest(setting.value, typing.get_args(key.hint))
    return f"{key.name}: expected {type_name(key.hint)}; got {setting.value!r} ({setting.source}){hint}"


def type_name(hint: Any) -> str:  # noqa: ANN401 - any type
    """A type in words: ``a whole number``, ``one of cosine, linear``."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if typing.get_origin(hint) is tuple:
        return {int: "a list of whole numbers", str: "a list of texts"}[arguments[0]]
    return words[hint] if hint in words else " or ".join(type_name(part) for part in arguments)


def nearest_key(key: str) -> str:
    """The valid key nearest to a wrong one: by its whole name, else by its last part."""
    found = nearest(key, keys())
    if not found:
        by_last = {name.rpartition(".")[2]: name for name in keys()}
        last = nearest(key.rpartition(".")[2], by_last)
        found = last and f"; did you mean {by_last[last.removeprefix('; did you mean ')[:-1]]}?"
    return found


def _files(name: str | None, file: str | os.PathLike[str] | None, faults: list[str]) -> Iterator[Path]:
    if name is not None:
        known = shipped()
        if name in known:
            yield known[name]
        else:
            own = f"; a file of your own is given by --config {name}" if Path(name).is_file() else ""
            faults.append(unknown("NAME", "configuration", name, list(known)) + own)
    if file is not None:
        yield Path(file)


def _from_file(path: Path, faults: list[str]) -> list[Setting]:
    try:
        data = yaml.load(read_text(path, ConfigError), Loader=_OnceLoader)
    except ConfigError as error:
        faults.append(str(error))
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        faults.append(f"{path}: cannot be read as a configuration: {reason}")
        return []
    except yaml.YAMLError as error:
        faults.append(f"{path}: not valid YAML: {_yaml_problem(error)}")
        return []
    return _flatten({} if data is None else data, str(path), faults)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or 'unreadable'}{place}"


class _OnceLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice, where YAML would silently keep the last.

    It refuses aliases too: a few lines of them stand for more values than memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Build one node, unless it is an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"aliases (*{event.anchor}) are not read; write the value again"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build one mapping, after looking for keys given twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if name is None or name in seen:
                problem = f"key {name!r} is given twice" if name else "a key must be a name"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _flatten(data: Any, source: str, faults: list[str], section: str = "") -> list[Setting]:  # noqa: ANN401
    if not isinstance(data, Mapping):
        what = section or "configuration"
        faults.append(f"{what}: expected keys with values; got {data!r} ({source})")
        return []
    settings = []
    sections = {key.section for key in keys().values()}
    for key, value in data.items():
        name = f"{section}.{key}" if section else str(key)
        if name in sections or (name not in keys() and isinstance(value, Mapping)):
            settings += _flatten(value, source, faults, name)
        else:
            settings.append(Setting(name, value, source))
    return settings


def _from_environment(environment: Mapping[str, str], faults: list[str]) -> list[Setting]:
    settings = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if key in keys():
            settings.append(Setting(key, environment[variable], f"{variable} in the environment"))
        else:
            near = nearest(variable, [*RESERVED, *map(variable_of, keys())])
            faults.append(f"{variable}: unknown variable in the environment{near}")
    return settings


def variable_of(key: str) -> str:
    """The environment variable of a key: ``trainer.max_epochs`` is GEOMOE_TRAINER__MAX_EPOCHS."""
    return PREFIX + key.replace(".", "__").upper()


def data_set_of(name: str) -> str:
    """The data set of a name: itself, or the one that a shipped configuration of that name is about.

    Raises:
        ConfigError: neither.
    """
    if name in CATALOGUE:
        return name
    if name in shipped():
        return load(name, environment={}).data.name
    raise ConfigError(unknown("NAME", "data set", name, list(dict.fromkeys([*CATALOGUE, *shipped()]))))
