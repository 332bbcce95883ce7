"""The configurations that come with the package."""

from __future__ import annotations

from pathlib import Path


def config_folder() -> Path:
    """The folder of shipped configurations: in the installed package, else in the source checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def shipped() -> dict[str, Path]:
    """Shipped configurations: name -> file."""
    return {path.stem: path for path in sorted(config_folder().glob("*.yaml"), key=_stem)}


def _stem(path: Path) -> str:
    return path.stem
