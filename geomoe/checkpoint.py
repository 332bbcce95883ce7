"""A run's weights with everything needed to rebuild the model; loading never executes code.

A checkpoint is a Lightning checkpoint with one more key, ``geomoe``, which holds plain types only::

    {"format": 1, "config": {...}, "info": {"classes": [...], "domains": [...], "mean": [...], ...},
     "network": "model."}

The training method's weights are under ``state_dict`` with the prefix ``algorithm.``; ``network`` is the
prefix, after that one, of the network for use. The format is described in docs/formats.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from geomoe.config import RunConfig
from geomoe.config.load import read_config
from geomoe.errors import CheckpointError, ConfigError, InputError
from geomoe.support.bounded import refuse_bomb
from geomoe.support.files import whole_file
from geomoe.support.plain import from_plain
from geomoe.support.weights import read_weights, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = 1
KEY = "geomoe"
PREFIX = "algorithm."
MOST_VALUES = 5_000_000  # in the configuration and the facts


@dataclass(frozen=True)
class Places:
    """A subset of the training places, in degrees: see :mod:`geomoe.datasets.training_places`."""

    lon: tuple[float, ...]
    lat: tuple[float, ...]
    within_km: float = 0.0


@dataclass(frozen=True)
class Info:
    """Facts in a checkpoint about the data that a network was trained on. Further facts are kept.

    Attributes:
        classes, domains: names, by id.
        bands: channels of an image.
        mean, std: mean and standard deviation of each band, in raw values.
        name: name of the data set.
        uncounted: domains that are never the worst one.
        image_size, source_pixels: side in pixels of the network's input, and of the images in the files.
        held_out: the domain left out of training.
        train_domains: ids of the training domains; None: all except ``held_out``.
        split_seed, protocol, data_hash: identify the data and its split.
        pixel_types: types of the training images' pixels; older checkpoints do not have them.
        pixel_metres: ground size of the training images' pixels: median, min, max; None: unknown.
        extent_metres: length of the training images' longer side: median, min, max; None: unknown.
        places: training places; older checkpoints do not have them.
        encoder: sizes of a pretrained location encoder.
    """

    classes: tuple[str, ...]
    domains: tuple[str, ...]
    bands: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str | None = None
    uncounted: tuple[str, ...] = ()
    image_size: int | None = None
    source_pixels: int | None = None
    held_out: str | None = None
    train_domains: tuple[int, ...] | None = None
    split_seed: int | None = None
    protocol: str | None = None
    data_hash: str | None = None
    pixel_types: tuple[str, ...] = ()
    pixel_metres: dict[str, float] | None = None
    extent_metres: dict[str, float] | None = None
    places: Places | None = None
    encoder: dict[str, int | float | str | None] | None = None

    def __post_init__(self) -> None:
        """Check that the facts are consistent.

        Raises:
            InputError: the facts are not consistent.
        """
        many, places = len(self.domains), self.places
        checks = {
            "classes: expected at least one name": len(self.classes) > 0,
            "classes: expected different names": len(set(self.classes)) == len(self.classes),
            "domains: expected different names": len(set(self.domains)) == many,
            "bands: expected at least 1": self.bands > 0,
            "image_size: expected 1 to 65,536 pixels": _is_side(self.image_size),
            "source_pixels: expected pixels of an image": _is_side(self.source_pixels, most=2**31),
            "pixel_metres: expected positive metres": _are_metres(self.pixel_metres),
            "extent_metres: expected positive metres": _are_metres(self.extent_metres),
            "mean: expected one number for each band": len(self.mean) == self.bands,
            "std: expected one positive number for each band": len(self.std) == self.bands
            and min(self.std, default=0) > 0,
            "train_domains: expected positions in domains": all(
                0 <= number < many for number in self.train_domains or ()
            ),
            "places: expected one lat for each lon": places is None or len(places.lon) == len(places.lat),
            "places: expected places on the Earth": places is None
            or (
                all(abs(lon) <= 360 for lon in places.lon)
                and all(abs(lat) <= 90 for lat in places.lat)
                and places.within_km >= 0
            ),
        }
        for what, good in checks.items():
            if not good:
                raise InputError(f"info.{what}")


def _is_side(pixels: int | None, most: int = 65_536) -> bool:
    return pixels is None or 1 <= pixels <= most


def _are_metres(found: Mapping[str, float] | None) -> bool:
    return found is None or min(found.values(), default=1.0) > 0


@dataclass(frozen=True)
class _Facts:
    """The values under the key ``geomoe``, without the configuration."""

    info: Info
    network: str = "model."  # geomoe 0.1 did not write it


class Checkpoint(NamedTuple):
    """The content of a checkpoint, without the state of the trainer.

    Attributes:
        config: the run's configuration.
        info: plain facts about the data, at least those of :class:`Info`.
        state_dict: the training method's weights and buffers, on the CPU.
        path: the file they were read from.
        prefix: prefix of the network for use in the names of ``state_dict``.
    """

    config: RunConfig
    info: dict[str, Any]
    state_dict: dict[str, Tensor]
    path: Path
    prefix: str = "model."

    @property
    def network(self) -> dict[str, Tensor]:
        """Weights of the network for use, with the names of its own state dict."""
        return {
            name.removeprefix(self.prefix): value
            for name, value in self.state_dict.items()
            if name.startswith(self.prefix)
        }


def payload(config: RunConfig, info: Mapping[str, Any], network: str = "model.") -> dict[str, Any]:
    """The value for the key ``geomoe``: plain types only.

    Args:
        config: the run's configuration.
        info: facts about the data.
        network: prefix of the network for use in the names of the training method.

    Raises:
        TypeError: a value in ``info`` is not a plain type, so that it could not be read back safely.
    """
    _check_plain(dict(info), "info")
    return {"format": FORMAT, "config": config.as_dict(), "info": dict(info), "network": network}


def prefix_of(method: nn.Module, network: nn.Module) -> str:
    """The prefix of a network's names in a training method."""
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
    """Write only a network's weights, without optimiser and trainer; for release and tests.

    The file is written completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    state = network.state_dict()
    weights = {f"{PREFIX}model.{name}": value.detach().cpu() for name, value in state.items()}
    return write_atomically({"state_dict": weights, KEY: payload(config, info)}, path)


def write_atomically(content: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """``torch.save`` to a temporary file, then rename: a reader sees the old file or the new one.

    Raises:
        OutputError: the folder cannot be made or written, or is full; no temporary file is left.
    """
    with whole_file(path, "free some space or choose another --output") as scratch:
        try:
            with scratch.open("wb") as file:
                torch.save(dict(content), file)
                file.flush()
                os.fsync(file.fileno())
        except RuntimeError as error:  # torch's zip writer raises this if the disk is full
            raise OSError(str(error)) from error
    return Path(path)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a whole checkpoint file, including the trainer's state, and check that geomoe wrote it.

    Raises:
        CheckpointError: see :func:`load_checkpoint`.
    """
    if not isinstance(path, str | os.PathLike):
        given = type(path).__name__
        raise CheckpointError(f"checkpoint: expected a file such as RUN/checkpoints/best.ckpt; got {given}")
    path = Path(path)
    content = read_weights(path, "expected a checkpoint such as RUN/checkpoints/best.ckpt")
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        msg = f"{path}: not a checkpoint of geomoe (no {KEY!r} key); expected a file written by geomoe train"
        raise CheckpointError(msg)
    version = content[KEY].get("format")
    if version != FORMAT:
        msg = f"{path}: checkpoint format {version!r}, expected {FORMAT}; use the geomoe that wrote it"
        raise CheckpointError(msg)
    weights = content.get("state_dict")
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        msg = f"{path}: incomplete checkpoint (state_dict: expected weights by name); train again"
        raise CheckpointError(msg)
    try:
        refuse_bomb(content[KEY], MOST_VALUES)
        from_plain(_Facts, content[KEY])
    except ValueError as error:
        msg = f"{path}: damaged checkpoint, or of another geomoe: {error}; train again"
        raise CheckpointError(msg) from error
    return content


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read configuration, facts and weights from a checkpoint. Nothing in the file is executed.

    Raises:
        CheckpointError: the file is missing, empty, truncated, not geomoe's, of another format, or
            would run code; a fact is missing or of a wrong type (see :class:`Info`); or this version of
            geomoe does not know its configuration.
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
    prefix = content[KEY].get("network", _Facts.network)
    return Checkpoint(config, content[KEY]["info"], weights, Path(path), prefix)


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], where: str | os.PathLike[str]) -> None:
    """Load weights into a module; names and shapes must match the module's exactly.

    Args:
        module: the module, changed in place.
        state_dict: its weights.
        where: name of their source in an error.

    Raises:
        CheckpointError: keys are missing, unexpected or misshaped (all are named in one line), or a tensor
            holds NaN or infinity. The module is not changed.
    """
    refuse_foreign(where, module.state_dict(), state_dict, of="weights of another model or class count")
    module.load_state_dict(dict(state_dict))
