"""Create loggers by name, which write to the run's folder. ``csv`` is handled in saving.py."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from geomoe.errors import DependencyNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def check_loggers(names: Iterable[str]) -> None:
    """Refuse loggers whose package is not installed, before anything is written.

    Raises:
        DependencyNotFoundError: a logger's package is not installed.
    """
    for name in names:
        if name != "csv" and find_spec(name) is None:
            extra = "geomoe[wandb]" if name == "wandb" else name
            msg = f"trainer.loggers: {name} is not installed; pip install '{extra}', or leave it out"
            raise DependencyNotFoundError(msg)


def create_loggers(names: Iterable[str], folder: Path, first_step: int = 0) -> list[Logger]:
    """Create the Lightning loggers of a run.

    Args:
        names: csv (written by the run itself), tensorboard, wandb.
        folder: the run's folder.
        first_step: step at which a resumed run continues; TensorBoard hides older records from there on.
    """
    made: list[Logger] = []
    for name in names:
        if name == "tensorboard":
            purge: dict[str, Any] = {"purge_step": first_step} if first_step else {}
            made.append(
                TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False, **purge)
            )
        elif name == "wandb":
            made.append(WandbLogger(name=folder.name, save_dir=folder, project="geomoe", resume="allow"))
    return made
