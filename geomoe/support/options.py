"""Options of a call: a dataclass, its fields by name, or both."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from geomoe.support.words import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)


def options_of(kind: type[T], options: T | None, changes: Mapping[str, Any]) -> T:
    """The options that a call was given: those of ``options``, or the defaults, with changes by name.

    Args:
        kind: the dataclass.
        options: of that class; None: its defaults.
        changes: name of a field -> value.

    Raises:
        TypeError: options of another class, or no field of that name.
    """
    if options is not None and not isinstance(options, kind):
        raise TypeError(f"expected {kind.__name__}, or its fields by name; got {options!r}")
    known = [one.name for one in fields(kind)]
    for name in changes:
        if name not in known:
            said = f"no option {name!r}{nearest(name, known)} (known: {', '.join(known)})"
            raise TypeError(f"{kind.__name__}: {said}")
    return replace(options if options is not None else kind(), **changes)
