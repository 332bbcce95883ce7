"""The options of training methods, read from their source without importing torch.

``geomoe train --help`` lists every option in milliseconds, but importing torch takes seconds. So the nested
class ``Options`` of a method is parsed from the source: names, types, and the literals given to
:func:`geomoe.support.options.option`. A test compares the result with the imported classes.
"""

from __future__ import annotations

import ast
import builtins
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from geomoe.catalogue import METHODS
from geomoe.support.options import option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from geomoe.support.options import Range

_PACKAGE = Path(__file__).parents[1]
_TYPES = {"Literal": Literal, **{name: getattr(builtins, name) for name in ("int", "float", "str", "bool")}}


class Option(NamedTuple):
    """One option of a method.

    Attributes:
        name: its name in the class.
        hint: its type.
        default: its default value.
        meaning: what it does, in one phrase.
        range: the allowed numbers.
    """

    name: str
    hint: Any
    default: Any
    meaning: str
    range: Range


@cache
def options_of(method: str) -> dict[str, Option]:
    """Every option of a method of the catalogue, by name, in the order of its class."""
    module, _, name = METHODS[method].target.partition(":")
    return {one.name: one for one in _read(module, name)}


def defaults_of(method: str) -> dict[str, Any]:
    """The default of every option of a method."""
    return {name: one.default for name, one in options_of(method).items()}


def owners_of(option_name: str) -> list[str]:
    """Methods that have an option of this name."""
    return [method for method in METHODS if option_name in options_of(method)]


def resolved(active: Iterable[str], given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The complete options of the methods in use; other methods are left out."""
    return {name: {**defaults_of(name), **given.get(name, {})} for name in active if name in METHODS}


@cache
def _parsed(module: str) -> ast.Module:
    path = _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _read(module: str, name: str) -> Iterator[Option]:
    """Options of a class: those of its base class, then its own."""
    owner = next(
        node for node in _parsed(module).body if isinstance(node, ast.ClassDef) and node.name == name
    )
    for base in owner.bases:
        home = _home_of(module, base.id) if isinstance(base, ast.Name) else None
        if home is not None:
            yield from _read(home, base.id)  # type: ignore[attr-defined]
    for node in owner.body:
        if isinstance(node, ast.ClassDef) and node.name == "Options":
            yield from (_option(line) for line in node.body if isinstance(line, ast.AnnAssign))


def _home_of(module: str, name: str) -> str | None:
    """The module of geomoe.algorithms that defines a base class with this name."""
    for node in _parsed(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return node.module if (node.module or "").startswith("geomoe.algorithms") else None
    return None


def _option(line: ast.AnnAssign) -> Option:
    if not (isinstance(line.target, ast.Name) and isinstance(line.value, ast.Call)):
        msg = f"line {line.lineno}: an option is declared as name: type = option(default, meaning)"
        raise TypeError(msg)
    given = [ast.literal_eval(argument) for argument in line.value.args]
    named = {word.arg: ast.literal_eval(word.value) for word in line.value.keywords if word.arg}
    declared = option(*given, **named)
    hint = eval(ast.unparse(line.annotation), {"__builtins__": {}}, dict(_TYPES))  # only our own source
    facts = declared.metadata
    return Option(line.target.id, hint, declared.default, facts["meaning"], facts["range"])
