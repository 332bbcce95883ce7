"""Convert configuration values from flags, variables and files to the type of the key.

This is our own code because jsonargparse parses text for an optional key as YAML: ``--data.held_out '#12'``
became null, so that the held-out domain was used for training. Here text stays text. Only ``null`` means
None; ``"null"`` in quotes, which must reach geomoe, means the word.
"""

from __future__ import annotations

import math
import types
import typing
from typing import Any, Literal, get_args, get_origin

from geomoe.support.text import is_utf8

_NULL_AS_TEXT = ('"null"', "'null'")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_value(hint: Any, value: Any, *, text: bool) -> Any:  # noqa: ANN401 - the type is that of the hint
    """Convert a value to a type.

    Args:
        hint: int, float, str, bool, None, a Literal of texts, ``tuple[int, ...]``, ``tuple[str, ...]``, or a
            union of these.
        value: the unconverted value.
        text: whether it comes from a flag or variable and is therefore text, whatever its type should be;
            values of files already have a type.

    Raises:
        ValueError: the value is not of that type.
    """
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(get_args(hint), value, text)
    if hint in (None, type(None)):
        return _none(value, text)
    if origin is Literal:
        return _choice(get_args(hint), value)
    if origin is tuple:
        return _list(get_args(hint)[0], value, text)
    return {int: _whole, float: _number, bool: _truth, str: _text}[hint](value)


def _one_of(hints: tuple[Any, ...], value: Any, text: bool) -> Any:  # noqa: ANN401
    if text and value in _NULL_AS_TEXT and str in hints:
        return "null"
    # none is tried first and text last, because any value can be read as text
    for hint in sorted(hints, key=lambda one: (one is not type(None), one is str)):
        try:
            return read_value(hint, value, text=text)
        except ValueError:
            continue
    raise ValueError(value)


def _none(value: Any, text: bool) -> None:  # noqa: ANN401
    if value is not None and not (text and value == "null"):
        raise ValueError(value)


def _choice(choices: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, str) or value not in choices:
        raise ValueError(value)
    return value


def _list(hint: Any, value: Any, text: bool) -> tuple[Any, ...]:  # noqa: ANN401
    if isinstance(value, str):  # 2,3 or [2, 3]
        inside = value.strip()
        if inside.startswith("[") and inside.endswith("]"):
            inside = inside[1:-1]
        parts: Any = [part.strip().strip("'\"") for part in inside.split(",")] if inside.strip() else []
    else:
        parts = value
    if not isinstance(parts, list | tuple):
        raise ValueError(value)
    return tuple(read_value(hint, part, text=text) for part in parts)


def _whole(value: Any) -> int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    number = float(value)  # also text from files: YAML reads 1e-3 as text
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _truth(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _text(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not is_utf8(value):  # other bytes cannot be written to a configuration
        raise ValueError(value)
    return value
