"""The keys of a configuration: section, type and meaning of each."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from geomoe.catalogue import METHODS
from geomoe.config.methods import options_of, owners_of
from geomoe.config.schema import RunConfig
from geomoe.support.words import nearest

PREFIX = "GEOMOE_"


#: Environment variables with this prefix that are not configuration keys; see docs/cli.md.
RESERVED = ("GEOMOE_CACHE", "GEOMOE_OFFLINE", "GEOMOE_REQUIRE_BROWSER")


class Key(NamedTuple):
    """One configuration key: its section, type and meaning."""

    name: str
    section: str
    hint: Any
    default: Any
    doc: str


class Setting(NamedTuple):
    """One unconverted value and its source, which errors name.

    Attributes:
        key: dotted name.
        value: the unconverted value.
        source: where it came from.
        text: whether it is text (from a flag or variable); values of files already have a type.
    """

    key: str
    value: Any
    source: str
    text: bool = True


@cache
def keys() -> dict[str, Key]:
    """Every key of :class:`RunConfig` by its dotted name, in the order of the classes."""
    return {key.name: key for key in _keys_of(RunConfig, "")}


@cache
def method_keys(method: str) -> dict[str, Key]:
    """Every option of a method by its dotted name, such as ``moge.aux``."""
    found = options_of(method).values()
    return {
        f"{method}.{one.name}": Key(f"{method}.{one.name}", method, one.hint, one.default, f"{one.meaning}.")
        for one in found
    }


def find_key(name: str) -> Key | None:
    """A key of :class:`RunConfig` or an option of any method, by its dotted name; None if unknown."""
    section = name.partition(".")[0]
    return keys().get(name) or (method_keys(section).get(name) if section in METHODS else None)


def takes(name: str) -> bool:
    """Whether a flag may have this name: a key, a method's option, ``method.X``, or an old ``loss`` key."""
    section, _, last = name.partition(".")
    return find_key(name) is not None or section == "method" or (section == "loss" and bool(owners_of(last)))


def _keys_of(cls: type, section: str) -> Iterator[Key]:
    hints, docs = typing.get_type_hints(cls), argument_docs(cls)
    for item in fields(cls):
        hint, name = hints[item.name], f"{section}.{item.name}" if section else item.name
        if item.name == "options":
            continue  # method_keys lists these by method
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
    """``; did you mean KEY?`` for the key most similar to a wrong one, by its whole name or its last part."""
    every = [*keys(), *(name for method in METHODS for name in method_keys(method))]
    found = nearest(key, every)
    if not found:
        by_last = {name.rpartition(".")[2]: name for name in reversed(every)}
        last = nearest(key.rpartition(".")[2], by_last)
        found = last and f"; did you mean {by_last[last.removeprefix('; did you mean ')[:-1]]}?"
    return found


def variable_of(key: str) -> str:
    """The environment variable of a key: ``trainer.max_epochs`` is GEOMOE_TRAINER__MAX_EPOCHS."""
    return PREFIX + key.replace(".", "__").upper()
