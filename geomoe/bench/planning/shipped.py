"""The bench specs that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.config.shipped import config_folder

if TYPE_CHECKING:
    from pathlib import Path


def shipped_specs() -> dict[str, Path]:
    """Shipped specs: name -> file."""
    return {path.stem: path for path in sorted((config_folder() / "bench").glob("*.yaml"))}
