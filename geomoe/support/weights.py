"""Read weights files without executing code, check them for damage, and compare them strictly."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geomoe.errors import CheckpointError, one_line
from geomoe.support.files import refuse_special
from geomoe.support.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping, Sequence

_MOST = 5  # names that one error lists of each kind
_GARBAGE = (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError)


def read_weights(path: str | os.PathLike[str], advice: str, *, mapped: bool = False) -> Any:  # noqa: ANN401
    """Read a torch or safetensors file (by its suffix) to the CPU.

    Args:
        path: the file.
        advice: what to use instead if the file does not exist.
        mapped: whether to memory-map the tensors, if the format allows it.

    Raises:
        CheckpointError: the file is not there, no regular file, empty, damaged, or would run code.
    """
    path = Path(path)
    refuse_special(path, CheckpointError)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise CheckpointError(f"{path}: {what}; {advice}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: empty file; copy or fetch it again")
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _check_sums(path)
        with warnings.catch_warnings(action="ignore"):  # torch's remarks on files that are refused anyway
            # weights_only: tensors and plain types; anything else is refused before it is executed
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipped)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        why = "it would run code, holds foreign objects, or is corrupt; save its state_dict alone"
        raise CheckpointError(f"{path}: refused, nothing was executed: {why}") from error
    except PermissionError as error:
        raise CheckpointError(f"{path}: no permission to read it") from error
    except (*_GARBAGE, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: truncated or corrupt ({one_line(error)}); copy or fetch it again"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _check_sums(path: Path) -> None:
    """Verify the checksum of each part of a file, which torch writes but does not check.

    Raises:
        CheckpointError: a part was changed since, or is compressed, as torch's never are.
    """
    with zipfile.ZipFile(path) as parts:
        squeezed = [part.filename for part in parts.infolist() if part.compress_type != zipfile.ZIP_STORED]
        if squeezed:
            raise CheckpointError(f"{path}: its part {squeezed[0]!r} is compressed: not a file of torch's")
        damaged = parts.testzip()
    if damaged is not None:
        why = f"its part {damaged!r} is not what was written (check sum)"
        raise CheckpointError(f"{path}: truncated or corrupt: {why}; copy or fetch it again")


def differences(
    own: Mapping[str, Sequence[int]], found: Mapping[str, Any], optional: Collection[str] = ()
) -> str:
    """How weights differ from those that a module expects, in one line; empty if they fit.

    Args:
        own: the shape of each of the module's tensors, by name.
        found: the weights.
        optional: names that may be missing.
    """
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    faults = {
        "missing": [name for name in own if name not in found and name not in optional],
        "unexpected": [name for name in found if name not in own],
        "no tensors": [name for name in found if name in own and name not in tensors],
        "misshaped": [
            f"{name} {tuple(value.shape)} in the file, {tuple(own[name])} in the model"
            for name, value in tensors.items()
            if name in own and tuple(value.shape) != tuple(own[name])
        ],
    }
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in faults.items() if names)


def refuse_foreign(
    where: str | os.PathLike[str],
    own: Mapping[str, Tensor],
    found: Mapping[str, Any],
    *,
    of: str = "weights of another network",
    optional: Collection[str] = (),
) -> None:
    """Refuse weights that are not a module's own, name by name, shape by shape, and those with NaN in them.

    Args:
        where: name of the weights in an error.
        own: the module's state.
        found: the weights.
        of: description of weights that do not fit, for the error.
        optional: names that may be missing.

    Raises:
        CheckpointError: keys missing, unexpected or misshaped, all in one line; or not finite.
    """
    wrong = differences({name: value.shape for name, value in own.items()}, found, optional)
    if wrong:
        raise CheckpointError(f"{where}: {of}: {wrong}")
    refuse_not_finite(where, found)


def refuse_not_finite(where: str | os.PathLike[str], found: Mapping[str, Tensor]) -> None:
    """Refuse weights with NaN or infinity in them.

    Raises:
        CheckpointError: the first tensor that has, by name.
    """
    for name, value in found.items():
        # The sum is fast, and never finite if a value is not; it may also be infinite because it is too
        # large.
        if value.is_floating_point() and not value.sum().isfinite() and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            what = f"{name} holds NaN or infinity ({count} of {counted(value.numel(), 'value')})"
            raise CheckpointError(f"{where}: {what}; use weights from before the training diverged")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
