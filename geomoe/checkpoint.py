"""A run's weights with everything needed to rebuild the model alone; loading never executes code.

A checkpoint is a Lightning checkpoint with one more key, ``geomoe``, which holds plain types only::

    {"format": 1, "config": {...}, "info": {"classes": [...], "domains": [...], "mean": [...], ...},
     "network": "model."}

The training method's weights are under ``state_dict`` with the prefix ``algorithm.``; after it, ``network``
is the prefix of the network for use. The format is described in docs/formats.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from geomoe.config import RunConfig
from geomoe.config.load import read_config
from geomoe.errors import CheckpointError, ConfigError
from geomoe.support.files import whole_file
from geomoe.support.weights import read_weights, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = 1
KEY = "geomoe"
PREFIX = "algorithm."


class Checkpoint(NamedTuple):
    """What a checkpoint holds, without the state of the trainer.

    Attributes:
        config: the run's configuration.
        info: plain facts about the data: classes, domains, bands, mean, std, data_hash, held_out, ...
        state_dict: the training method's weights and buffers, on the CPU.
        path: the file they were read from.
        prefix: of the network for use among the names of ``state_dict``.
    """

    config: RunConfig
    info: dict[str, Any]
    state_dict: dict[str, Tensor]
    path: Path
    prefix: str = "model."

    @property
    def network(self) -> dict[str, Tensor]:
        """Weights of the network for use, by its own names."""
        return {
            name.removeprefix(self.prefix): value
            for name, value in self.state_dict.items()
            if name.startswith(self.prefix)
        }


def payload(config: RunConfig, info: Mapping[str, Any], network: str = "model.") -> dict[str, Any]:
    """What stands under the key ``geomoe``: plain types only.

    Args:
        config: of the run.
        info: facts on the data.
        network: prefix of the network for use among the names of the training method.

    Raises:
        TypeError: a value in ``info`` is not a plain type; it could not be read back safely.
    """
    _check_plain(dict(info), "info")
    return {"format": FORMAT, "config": config.as_dict(), "info": dict(info), "network": network}


def prefix_of(method: nn.Module, network: nn.Module) -> str:
    """Where a network stands in a training method, as the prefix of its names."""
    return next(f"{name}." for name, module in method.named_modules() if module is network)


def _check_plain(value: Any, where: str) -> None:  # noqa: ANN401 - any value is looked at
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                msg = f"{where}: expected text keys, got {key!r}"
                raise TypeError(msg)
            _check_plain(item, f"{where}.{key}")
    elif type(value) is list:
        for item in value:
            _check_plain(item, where)
    elif value is not None and type(value) not in (bool, int, float, str):
        msg = f"{where}: expected plain types only, got {type(value).__name__}"
        raise TypeError(msg)


def save_checkpoint(
    path: str | os.PathLike[str], network: nn.Module, config: RunConfig, info: Mapping[str, Any]
) -> Path:
    """Write a network's weights alone, without optimiser and trainer; for release and tests.

    The file is there whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    state = network.state_dict()
    weights = {f"{PREFIX}model.{name}": value.detach().cpu() for name, value in state.items()}
    return write_atomically({"state_dict": weights, KEY: payload(config, info)}, path)


def write_atomically(content: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """``torch.save`` beside the file, then rename: a reader sees the old file or the new one.

    Raises:
        OutputError: the folder cannot be made or written, or is full; nothing is left behind.
    """
    with whole_file(path, "free some space or choose another --output") as scratch:
        try:
            with scratch.open("wb") as file:
                torch.save(dict(content), file)
                file.flush()
                os.fsync(file.fileno())
        except RuntimeError as error:  # torch's zip writer turns a full disk into one
            raise OSError(str(error)) from error
    return Path(path)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a whole checkpoint file, trainer state included, and check that it is one of geomoe.

    Raises:
        CheckpointError: see :func:`load_checkpoint`.
    """
    path = Path(path)
    content = read_weights(path, "expected a checkpoint such as RUN/checkpoints/best.ckpt")
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        msg = f"{path}: not a checkpoint of geomoe (no {KEY!r} key); expected a file written by geomoe train"
        raise CheckpointError(msg)
    version = content[KEY].get("format")
    if version != FORMAT:
        msg = f"{path}: checkpoint format {version!r}, expected {FORMAT}; use the geomoe that wrote it"
        raise CheckpointError(msg)
    if not isinstance(content.get("state_dict"), dict) or not isinstance(content[KEY].get("info"), dict):
        msg = f"{path}: incomplete checkpoint (no weights or no info); train again"
        raise CheckpointError(msg)
    return content


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read configuration, facts and weights from a checkpoint. Nothing in the file is executed.

    Raises:
        CheckpointError: the file is missing, empty, truncated, foreign, of another format, or
            would run code; or its configuration is not one that this geomoe knows.
    """
    content = read(path)
    try:
        config = read_config(content[KEY].get("config"))
    except ConfigError as error:
        msg = f"{path}: configuration of another geomoe: {' '.join(str(error).split())}"
        raise CheckpointError(msg) from error
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in content["state_dict"].items()
        if name.startswith(PREFIX)
    }
    prefix = content[KEY].get("network", "model.")  # geomoe 0.1 did not write it
    return Checkpoint(config, content[KEY]["info"], weights, Path(path), prefix)


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], where: str | os.PathLike[str]) -> None:
    """Put weights into a module; every name and every shape must be the module's own.

    Args:
        module: what is filled.
        state_dict: its weights.
        where: what to call their source in an error.

    Raises:
        CheckpointError: keys are missing, unexpected or misshaped: all of them in one line; or a tensor
            holds NaN or infinity. The module is not changed.
    """
    refuse_foreign(where, module.state_dict(), state_dict, of="weights of another model or class count")
    module.load_state_dict(dict(state_dict))
