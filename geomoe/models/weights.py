"""Pretrained backbones: from timm and torchgeo by name, or from a local file.

Files are read without running anything in them, and strictly: what is missing, left over or of
another shape is reported together. What may differ is what timm itself adapts: the position embedding
(another image size), the patch projection (another patch size, another number of bands than 3), and
the classifier (another set of classes: it starts anew, and the log says so).
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from geomoe.errors import CheckpointError, one_line
from geomoe.models.named_weights import torchgeo_state

log = logging.getLogger(__name__)

_TORCH_SUFFIXES = {".pth", ".pt", ".ckpt", ".bin", ".tar"}
_HEAD = ("head.weight", "head.bias")
# torchgeo's own loaders accept files without these: some of its weights end before the last norm.
_TORCHGEO_OPTIONAL = ("norm.weight", "norm.bias", *_HEAD)


def load_weights(vit: VisionTransformer, weights: str, name: str) -> None:
    """Load weights by name ("torchgeo:NAME") or from a local file into a backbone called ``name``.

    Raises:
        ConfigError: torchgeo has no such weights, or has them for another backbone or other bands.
        CheckpointError: a file that is missing, foreign, corrupt or of another network.
        DependencyNotFoundError: torchgeo weights without torchgeo.
    """
    torchgeo = weights.startswith("torchgeo:")
    bands = _bands(vit) if torchgeo else 0
    optional = _TORCHGEO_OPTIONAL if torchgeo else _HEAD
    load_backbone(vit, network_state(weights, name, bands), where=weights, optional=optional)


def network_state(weights: str, name: str, bands: int) -> dict[str, Any]:
    """The tensors of weights by name ("torchgeo:NAME", for ``bands`` bands) or of a local file.

    Raises:
        ConfigError: torchgeo has no such weights, or has them for another network or other bands.
        CheckpointError: a file that is missing, foreign or corrupt, or weights that do not load.
        DependencyNotFoundError: torchgeo weights without torchgeo.
    """
    if weights.startswith("torchgeo:"):
        return torchgeo_state(weights.removeprefix("torchgeo:"), name, bands)
    return read_state(weights)


def load_backbone(
    vit: VisionTransformer,
    state: Mapping[str, Any],
    *,
    where: str = "weights",
    optional: tuple[str, ...] = _HEAD,
) -> None:
    """Load a state dict into a backbone, adapted where timm adapts, strictly otherwise.

    Args:
        vit: the backbone; unchanged when this raises.
        state: tensors by name: a timm state dict, or one inside "model" or "state_dict" or behind a
            common prefix, as in DeiT's files, Lightning's and geomoe's own checkpoints.
        where: what to call the weights in an error.
        optional: names that may be missing.

    Raises:
        CheckpointError: keys missing, left over or of another shape; all of them are named.
    """
    found = _adapt(vit, _unwrap(state, where), where)
    own = vit.state_dict()
    head = [key for key in _HEAD if key in own and (key not in found or found[key].shape != own[key].shape)]
    if head:
        found = {key: value for key, value in found.items() if key not in _HEAD}
    if not isinstance(getattr(vit, "head", None), nn.Linear):
        found = {key: value for key, value in found.items() if key not in _HEAD}
    refuse_foreign(where, own, found, {*optional, *head})
    vit.load_state_dict({**own, **found})
    fresh = [key for key in own if key not in found]
    if fresh:
        log.warning("%s: no fitting %s; these start anew", where, ", ".join(fresh))


def refuse_foreign(
    where: str, own: Mapping[str, Tensor], found: Mapping[str, Tensor], optional: Collection[str]
) -> None:
    """Refuse tensors that are not a network's own, name by name and shape by shape.

    Args:
        where: what to call the weights.
        own: the network's tensors.
        found: those of the weights.
        optional: names that may be missing.

    Raises:
        CheckpointError: keys missing, left over or of another shape; all of them are named.
    """
    missing = [key for key in own if key not in found and key not in optional]
    extra = [key for key in found if key not in own]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in found.items()
        if key in own and value.shape != own[key].shape
    ]
    faults = [_some("missing", missing), _some("left over", extra), _some("of another shape", shapes)]
    if any(faults):
        raise CheckpointError(f"{where}: weights of another network: {'; '.join(f for f in faults if f)}")


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a weights file without running anything in it: .safetensors, .pth, .pt, .ckpt, .bin, .tar.

    Raises:
        CheckpointError: the file is not there, of another type, empty, corrupt, or holds code.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"{path}: no such weights file; give a local file, timm or torchgeo:NAME")
    if file.stat().st_size == 0:
        raise CheckpointError(f"{path}: the weights file is empty; fetch it again")
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    if file.suffix not in _TORCH_SUFFIXES:
        known = ", ".join(sorted({".safetensors", *_TORCH_SUFFIXES}))
        raise CheckpointError(
            f"{path}: unknown type of weights file {file.suffix!r}; expected one of {known}"
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        why = "it holds more than tensors and plain values, and would run code, or it is corrupt"
        raise CheckpointError(f"{path}: refused: {why}; save its state_dict alone") from error
    except Exception as error:  # garbage makes torch's reader fail in any way
        raise CheckpointError(
            f"{path}: not a readable torch file ({one_line(error)}); fetch it again"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dict of tensors; got {type(state).__name__}")
    return state


def _read_safetensors(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: not a readable safetensors file ({one_line(error)}); fetch it again"
        ) from error


def _unwrap(state: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """The backbone's tensors under their plain names."""
    for key in ("model", "state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    anchor = "blocks.0.norm1.weight"
    # geomoe's MoGE checkpoints hold the backbone among other modules; the shortest prefix is the outermost.
    prefixes = sorted((key.removesuffix(anchor) for key in state if key.endswith(anchor)), key=len)
    if not prefixes:
        raise CheckpointError(f"{where}: not the weights of a vision transformer: it has no {anchor}")
    prefix = prefixes[0]
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in found.items() if isinstance(value, Tensor)}


def _adapt(vit: VisionTransformer, state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Bring position embedding and patch projection to this network's sizes, as timm does."""
    projection = getattr(vit.patch_embed, "proj", None)
    key = "patch_embed.proj.weight"
    try:
        if projection is None:
            return _adapt_positions(vit, state)
        state = checkpoint_filter_fn(state, vit)
        if key in state and state[key].shape[1] == 3 != projection.in_channels:
            state[key] = adapt_input_conv(projection.in_channels, state[key])
            log.warning(
                "%s: the patch projection of 3 bands is spread over %d", where, projection.in_channels
            )
    except (RuntimeError, ValueError, AssertionError, AttributeError) as error:
        raise CheckpointError(f"{where}: does not fit the backbone ({one_line(error)})") from error
    return state


def _adapt_positions(vit: VisionTransformer, state: dict[str, Tensor]) -> dict[str, Tensor]:
    positions = state.get("pos_embed")
    if positions is None or vit.pos_embed is None or positions.shape == vit.pos_embed.shape:
        return state
    resized = resample_abs_pos_embed(
        positions, new_size=list(vit.patch_embed.grid_size), num_prefix_tokens=vit.num_prefix_tokens
    )
    return {**state, "pos_embed": resized}


def _bands(vit: VisionTransformer) -> int:
    return vit.patch_embed.proj.in_channels


def _some(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"{what}: {', '.join(keys[:5])}{more}"
