"""geomoe: Earth-observation models that know where they are.

Importing this package imports nothing heavy: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> its module
_PUBLIC = {
    "Batch": "geomoe.types",
    "GeomoeError": "geomoe.errors",
    "ModelOutput": "geomoe.types",
    "Place": "geomoe.types",
    "Routing": "geomoe.types",
    "add_moge": "geomoe.models",
    "check_lonlat": "geomoe.coords",
    "create_encoder": "geomoe.encoders",
    "load": "geomoe.inference",
    "evaluate": "geomoe.evaluation",
    "map_experts": "geomoe.mapping",
    "predict_files": "geomoe.inference.files",
    "save": "geomoe.inference.saving",
    "train": "geomoe.training",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is that of the name asked for
    """Import a public name when it is first used."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'geomoe' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
