"""Helpers for every room: atomic files, locks, offline switches, error texts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def on_first_use(module: str, public: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that imports each public name when it is first used (PEP 562).

    Args:
        module: its ``__name__``.
        public: name -> module that holds it.
    """

    def find(name: str) -> Any:  # noqa: ANN401 - the type is that of the name asked for
        if name not in public:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(public[name]), name)

    return find
