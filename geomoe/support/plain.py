"""Strict conversion of dataclasses to plain JSON values and back: each field must match its annotation.

Values are not coerced ("1" is not a number). A fault is one line: its place, the expected type, the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from geomoe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_WORDS = {NoneType: "null", bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def to_plain(value: Any) -> Any:  # noqa: ANN401 - a dataclass, or any value of its fields
    """Convert a dataclass to an object of plain JSON values, field by field; tuples become lists."""
    if is_dataclass(value):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def jsonable(value: Any) -> Any:  # noqa: ANN401 - any result
    """Convert any result to JSON values; numbers that are not finite become null.

    Less strict than :func:`to_plain`: named tuples become objects, arrays lists, and other types text.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "tolist"):  # numpy, torch
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def from_plain(kind: type[T], value: Any, where: str = "") -> T:  # noqa: ANN401 - whatever JSON held
    """Rebuild the dataclass from the plain values of :func:`to_plain`.

    Fields may be None, bool, int, float (finite), str, Literal, other dataclasses, dict[str, X],
    tuple[X, ...], tuple[X, Y] and unions of these. A field with a default may be missing. A key without a
    field is ignored, because a later version may have more fields.

    Args:
        kind: a dataclass, or another of these types.
        value: plain JSON values.
        where: path of the value, with which messages begin.

    Raises:
        InputError: a fault and its place, such as ``scores.all.count: expected a whole number; got 'x'``.
    """
    return _reader(kind)(value, where)  # type: ignore[arg-type]


@cache
def _reader(kind: Any) -> Callable[[Any, str], Any]:  # noqa: ANN401 - any annotation
    """The reader for values of one annotation: (value, path) -> value, or an InputError."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _object(kind)
    if origin in (Union, UnionType):
        return _union(get_args(kind))
    if origin is Literal:
        return _literal(get_args(kind))
    if origin is dict:
        return _mapping(get_args(kind)[1])
    if origin is tuple:
        return _sequence(get_args(kind))
    return _scalar(kind)


def _object(kind: Any) -> Callable[[Any, str], Any]:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind)
    expected = {
        one.name: (hints[one.name], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(kind)
        if one.init
    }

    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        _check(isinstance(value, dict), "an object", value, where)
        found = {}
        for name, (hint, needed) in expected.items():
            path = f"{where}.{name}" if where else name
            if name in value:
                found[name] = _reader(hint)(value[name], path)
            elif needed:
                raise InputError(f"{path}: is missing")
        return kind(**found)

    return read


def _union(kinds: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    others = [kind for kind in kinds if kind is not NoneType]

    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        if value is None and len(others) < len(kinds):
            return None
        if len(others) == 1:
            return _reader(others[0])(value, where)
        for kind in others:
            try:
                return _reader(kind)(value, where)
            except InputError:
                continue
        return _check(False, " or ".join(_WORDS.get(kind, str(kind)) for kind in kinds), value, where)

    return read


def _literal(choices: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        known = any(type(value) is type(one) and value == one for one in choices)
        return _check(known, " or ".join(map(str, choices)), value, where)

    return read


def _mapping(kind: Any) -> Callable[[Any, str], Any]:  # noqa: ANN401 - any annotation
    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        _check(isinstance(value, dict), "an object", value, where)
        one = _reader(kind)
        return {_text(key, where): one(item, f"{where}.{key}") for key, item in value.items()}

    return read


def _sequence(kinds: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    many = len(kinds) == 2 and kinds[1] is Ellipsis

    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        _check(isinstance(value, list | tuple), "a list", value, where)
        if many:
            one = _reader(kinds[0])
            return tuple(one(item, f"{where}.{number}") for number, item in enumerate(value))
        _check(len(value) == len(kinds), f"a list of {len(kinds)}", value, where)
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(_reader(kind)(item, f"{where}.{number}") for number, (kind, item) in pairs)

    return read


def _scalar(kind: Any) -> Callable[[Any, str], Any]:  # noqa: ANN401 - None, bool, int, float or str
    word = _WORDS[kind]

    def read(value: Any, where: str) -> Any:  # noqa: ANN401
        if kind is float and type(value) is int:
            value = float(value) if abs(value) < 2**1000 else value  # beyond float's range: refused below
        _check(type(value) is kind, word, value, where)
        if kind is int:
            _check(abs(value) < 2**63, f"{word} of 64 bits", value, where)
        if kind is float:
            _check(math.isfinite(value), "a finite number", value, where)
        return _text(value, where) if kind is str else value

    return read


def _text(value: str, where: str) -> str:
    """Refuse text that cannot be encoded again because it has half of a surrogate pair."""
    _check(value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value), "text", value, where)
    return value


def _check(good: bool, expected: str, value: Any, where: str) -> Any:  # noqa: ANN401 - any value
    if good:
        return value
    raise InputError(f"{where or 'the whole'}: expected {expected}; got {shown(value)}")


def shown(value: Any) -> str:  # noqa: ANN401 - any plain value
    """A plain value as a short text, however large it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "a huge number"
    text = "null" if value is None else repr(value) if not isinstance(value, bool) else str(value).lower()
    return (
        ascii(text[:40])[1:-1] + " ..."
        if len(text) > 40
        else text.encode("ascii", "backslashreplace").decode()
    )
