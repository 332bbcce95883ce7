"""Options of a method: default, range and meaning, declared once, in the method's file.

A method declares them in a nested frozen dataclass::

    @dataclass(frozen=True)
    class Options(Method.Options):
        eta: float = option(0.01, "step size of the group weights", at_least=0)

Type and default come from the field, range and meaning from :func:`option`. The command line, configuration
files, checks and the tables in docs/ read them from the source, without importing torch
(:mod:`geomoe.config.methods`). So the arguments of :func:`option` must be literals.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from geomoe.errors import ConfigError, OptionError
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)


class Range(NamedTuple):
    """The allowed numbers of an option; None: no bound on that side."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, value: object) -> bool:
        """Whether a number is in the range; true for all values that are not numbers."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        """The rule in words, such as ``must be above 0``."""
        words = {
            "above": self.above,
            "at least": self.at_least,
            "below": self.below,
            "at most": self.at_most,
        }
        bounds = [f"{word} {_shown(bound)}" for word, bound in words.items() if bound is not None]
        return f"must be {' and '.join(bounds)}" if bounds else "must be finite"


def _shown(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def option(
    default: Any,  # noqa: ANN401 - the type is that of the field
    meaning: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:  # noqa: ANN401 - a dataclass field
    """Declare one option of a method.

    Args:
        default: its default value.
        meaning: one phrase for ``--help`` and the docs, with the unit.
        above: exclusive lower bound.
        at_least: inclusive lower bound.
        below: exclusive upper bound.
        at_most: inclusive upper bound.
    """
    limits = Range(above, at_least, below, at_most)
    return field(default=default, metadata={"meaning": meaning, "range": limits})


def check_options(options: Any) -> None:  # noqa: ANN401 - an Options dataclass of any method
    """Refuse options out of their ranges.

    Raises:
        ConfigError: names the first such option, its rule and its value.
    """
    hints = get_type_hints(type(options))
    for item in fields(options):
        value, limits = getattr(options, item.name), item.metadata["range"]
        if get_origin(hints[item.name]) is Literal and value not in get_args(hints[item.name]):
            choices = ", ".join(map(str, get_args(hints[item.name])))
            raise ConfigError(f"{item.name}: expected one of {choices}; got {value!r}")
        if value not in limits:
            raise ConfigError(f"{item.name}: {limits}; got {value}")


def within(
    default: Any,  # noqa: ANN401 - the type is that of the field
    *,
    at_least: float,
    at_most: float,
) -> Any:  # noqa: ANN401 - a dataclass field
    """A field of a dataclass for :func:`call_options` whose numbers have limits, both inclusive."""
    return field(default=default, metadata={"range": Range(at_least=at_least, at_most=at_most)})


def call_options(kind: type[T], options: T | None, changes: Mapping[str, Any]) -> T:
    """The options of a call: ``options``, or the defaults, with changes by name.

    Args:
        kind: the dataclass.
        options: an instance of it; None: its defaults.
        changes: name of a field -> value.

    Raises:
        OptionError: options of another class, no field of that name, a value of another type or out of
            its range.
    """
    if options is not None and not isinstance(options, kind):
        raise OptionError(f"expected {kind.__name__}, or its fields by name; got {options!r:.80}")
    known = {one.name: one for one in fields(kind)}
    for name in changes:
        if name not in known:
            said = f"no option {name!r}{nearest(name, list(known))} (known: {', '.join(known)})"
            raise OptionError(f"{kind.__name__}: {said}")
    given = {} if options is None else {name: getattr(options, name) for name in known}
    values = {name: _plain(value) for name, value in {**given, **changes}.items()}
    for name, value in values.items():
        _check_type(known[name], value)
    return replace(options if options is not None else kind(), **values)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever was given
    """Numbers and arrays of NumPy as Python's, which torch and the ranges expect; without importing NumPy."""
    return value.tolist() if type(value).__module__ == "numpy" else value


#: Head of an annotation -> what it takes, in words, and whether a value is that. Others are not checked.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),
    "float": ("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "str": ("text", lambda value: isinstance(value, str)),
    "PathLike": ("a path", lambda value: isinstance(value, os.PathLike)),
    "None": ("None", lambda value: value is None),
    "tuple": ("several values", lambda value: isinstance(value, tuple | list)),
    "Sequence": ("several values", lambda value: isinstance(value, Sequence)),
    "Mapping": ("a mapping", lambda value: isinstance(value, Mapping)),
    "Callable": ("a function", callable),
}


def _check_type(item: Field[Any], value: Any) -> None:  # noqa: ANN401 - whatever was given
    """Hold a value against the annotation of its field, which is text, and against its range."""
    parts = re.split(r"\s*\|\s*(?![^\[]*\])", str(item.type))
    heads = [part.partition("[")[0].rpartition(".")[2] for part in parts]
    if all(head in _TYPES for head in heads) and not any(_TYPES[head][1](value) for head in heads):
        expected = " or ".join(_TYPES[head][0] for head in heads)
        raise OptionError(f"{item.name}: expected {expected}; got {value!r:.80}")
    limits = item.metadata.get("range")
    if limits is not None and value not in limits:
        raise OptionError(f"{item.name}: {limits}; got {value}")
