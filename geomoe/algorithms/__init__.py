"""Training methods: one file each, on the contract of :mod:`geomoe.algorithms.contract`.

``pooled`` have one objective over all samples, ``risks`` compare the losses or gradients of domains,
``alignment`` their features; ``location`` use places without experts, ``experts`` have routers.

The table of all methods is :data:`geomoe.catalogue.METHODS`; a class is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from geomoe.catalogue import METHODS
from geomoe.support import on_first_use

if TYPE_CHECKING:
    from geomoe.algorithms.contract import Answer, Facts, Method, Now

_PUBLIC = dict.fromkeys(("Answer", "Facts", "Method", "Now"), "geomoe.algorithms.contract") | {
    entry.target.partition(":")[2]: entry.target.partition(":")[0] for entry in METHODS.values()
}

__all__ = ["Answer", "Facts", "Method", "Now", "method_class"]


def method_class(name: str) -> type[Method]:
    """The class of a method of the catalogue.

    Raises:
        KeyError: no such method.
    """
    module, _, kind = METHODS[name].target.partition(":")
    return getattr(importlib.import_module(module), kind)


__getattr__ = on_first_use(__name__, _PUBLIC)
