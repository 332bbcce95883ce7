"""Reading the released SatCLIP checkpoints: Lightning files with hyperparameters and every weight.

Only tensors and plain values are read; a file whose pickle would run code is refused before it is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from geomoe.errors import CheckpointError, ConfigError, DependencyNotFoundError, one_line
from geomoe.support.offline import kept_off
from geomoe.support.weights import differences, read_weights, refuse_not_finite

#: The released checkpoints: vision tower and L.
RELEASED = tuple(
    f"SatCLIP-{tower}-L{polys}" for tower in ("ResNet18", "ResNet50", "ViT16") for polys in (10, 40)
)

#: harmonics_calculation in a checkpoint -> name in geomoe.encoders.harmonics.
_CONVENTION = {"analytic": "satclip", "closed-form": "satclip-closed-form"}

#: Prefix of the location encoder in a checkpoint; `model.nnet.` holds the same tensors again.
_PREFIX = "model.location."


class SatCLIPShape(NamedTuple):
    """The hyperparameters that decide what SatCLIP's location encoder computes."""

    legendre_polys: int
    capacity: int
    embed_dim: int
    num_hidden_layers: int
    harmonics_calculation: str = "analytic"

    @property
    def convention(self) -> str:
        """Name of the harmonics' convention."""
        if self.harmonics_calculation not in _CONVENTION:
            known = ", ".join(_CONVENTION)
            msg = f"harmonics_calculation: expected one of {known}; got {self.harmonics_calculation!r}"
            raise ConfigError(msg)
        return _CONVENTION[self.harmonics_calculation]

    def expected(self) -> dict[str, tuple[int, ...]]:
        """Key and shape of every tensor of the SIREN."""
        width_in = self.legendre_polys**2
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_hidden_layers):
            shapes[f"layers.{layer}.weight"] = (self.capacity, width_in)
            shapes[f"layers.{layer}.bias"] = (self.capacity,)
            width_in = self.capacity
        last = {"last_layer.weight": (self.embed_dim, width_in), "last_layer.bias": (self.embed_dim,)}
        return {**shapes, **last}


def degrees_of(weights: str) -> int | None:
    """L of the harmonics of SatCLIP weights, without asking the hub; None for hf:NAME with an unknown NAME.

    Raises:
        CheckpointError: a local file that :func:`read_satclip` refuses.
    """
    if not weights.startswith("hf:"):
        return read_satclip(weights)[0].legendre_polys
    return {name: int(name.rpartition("-L")[2]) for name in RELEASED}.get(weights.removeprefix("hf:"))


def read_satclip(weights: str | Path) -> tuple[SatCLIPShape, dict[str, Tensor]]:
    """Read the location encoder out of a SatCLIP checkpoint.

    Args:
        weights: a local file, or hf:NAME from the Hugging Face hub.

    Returns:
        Its hyperparameters, and the state dict of its SIREN (keys ``layers.0.weight``, ...).

    Raises:
        CheckpointError: the file is missing, unreadable, would run code, or is not a SatCLIP
            checkpoint; all faults of its keys and shapes are reported together.
    """
    path = find_weights(weights)
    content = _load(path)
    faults: list[str] = []
    shape = _shape(content["hyper_parameters"], faults)
    if shape is None:
        raise CheckpointError(_report(path, faults))
    return shape, _state(path, content["state_dict"], shape)


def find_weights(weights: str | Path) -> Path:
    """Local path of ``weights``; the hub is used only for hf:NAME, and only when online.

    Raises:
        CheckpointError: no such file, no such released checkpoint, or not cached while offline.
    """
    text = str(weights)
    if not text.startswith("hf:"):
        path = Path(text).expanduser()
        if not path.is_file():
            hint = f"; or ask the hub with hf:NAME, NAME one of {', '.join(RELEASED)}"
            msg = f"{path}: no such SatCLIP checkpoint{hint}"
            raise CheckpointError(msg)
        return path
    asked = text.removeprefix("hf:").removeprefix("microsoft/").lower()
    names = {name.lower(): name for name in RELEASED}
    if asked not in names:
        msg = f"{text}: expected hf:NAME with NAME one of {', '.join(RELEASED)}"
        raise CheckpointError(msg)
    return _from_hub(f"microsoft/{names[asked]}", f"{asked}.ckpt")


def _from_hub(repository: str, file: str) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        msg = f"hf:{repository}: needs the package huggingface_hub; pip install huggingface_hub"
        raise DependencyNotFoundError(msg) from error
    why = kept_off(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, local_files_only=why is not None))
    except Exception as error:  # the hub's client raises errors from many libraries
        if why is not None:
            why = f"not in the hub's cache, and {why}"
        else:
            why = f"the hub did not give it ({type(error).__name__}: {one_line(error)})"
        msg = f"hf:{repository}: {file}: {why}; give a local file"
        raise CheckpointError(msg) from error


def _load(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionary; its two parts are present and of the right type."""
    # Memory-mapped if the format allows it, so that the vision tower takes no memory.
    content = read_weights(path, "give a local SatCLIP checkpoint", mapped=True)
    if not isinstance(content, dict):
        msg = f"{path}: expected a SatCLIP checkpoint; it holds a {type(content).__name__}"
        raise CheckpointError(msg)
    absent = [key for key in ("hyper_parameters", "state_dict") if not isinstance(content.get(key), dict)]
    if absent:
        msg = f"{path}: expected a SatCLIP checkpoint; it has no {' and no '.join(absent)}"
        raise CheckpointError(msg)
    return content


def _shape(hyper: dict[str, Any], faults: list[str]) -> SatCLIPShape | None:
    """The hyperparameters; None if they are wrong, with the reasons added to ``faults``."""
    wanted = {
        "le_type": ("sphericalharmonics",),
        "pe_type": ("siren",),
        "harmonics_calculation": tuple(_CONVENTION),
    }
    for key, allowed in wanted.items():
        if hyper.get(key) not in allowed:
            faults.append(f"hyper_parameters.{key}: expected {' or '.join(allowed)}; got {hyper.get(key)!r}")
    sizes = ("legendre_polys", "capacity", "embed_dim", "num_hidden_layers")
    for key in sizes:
        value = hyper.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            faults.append(f"hyper_parameters.{key}: expected a positive whole number; got {value!r}")
    if faults:
        return None
    return SatCLIPShape(**{key: hyper[key] for key in (*sizes, "harmonics_calculation")})


def _state(path: Path, state: dict[str, Any], shape: SatCLIPShape) -> dict[str, Tensor]:
    """The SIREN's tensors under their short names."""
    held = {key: value for key, value in state.items() if key.startswith(_PREFIX)}
    wrong = differences({f"{_PREFIX}nnet.{key}": size for key, size in shape.expected().items()}, held)
    whole = [
        key for key, value in held.items() if isinstance(value, Tensor) and not value.is_floating_point()
    ]
    if wrong or whole:
        wrong = wrong or f"not floating: {', '.join(whole)}"
        raise CheckpointError(f"{path}: not a SatCLIP checkpoint that geomoe can use: {wrong}")
    refuse_not_finite(path, held)
    # clone: so that the mapped file can be closed
    return {key.removeprefix(f"{_PREFIX}nnet."): value.clone() for key, value in held.items()}


def _report(path: Path, faults: list[str]) -> str:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return f"{path}: not a SatCLIP checkpoint that geomoe can use, {count}: {'; '.join(faults)}"
