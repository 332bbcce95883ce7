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
from urllib.parse import urlparse

import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from geomoe.errors import CheckpointError, ConfigError, DependencyNotFoundError, one_line
from geomoe.offline import offline

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
        return _torchgeo_state(weights.removeprefix("torchgeo:"), name, bands)
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


def load_timm(name: str, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's own options
    """Create a timm model with timm's weights, from the hub or, offline, from the hub's cache.

    Raises:
        CheckpointError: timm has no weights for it, or they cannot be fetched.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise CheckpointError(f"weights: timm has none for {name}; leave weights out or give a local file")
    overlay = None
    if offline():
        overlay = {"file": str(_cached_timm(name, config))}
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (OSError, RuntimeError) as error:
        advice = "check the network, or download them elsewhere and give the local file"
        raise CheckpointError(
            f"weights: timm's for {name} did not load ({one_line(error)}); {advice}"
        ) from error


def _cached_timm(name: str, config: Any) -> Path:  # noqa: ANN401 - timm's PretrainedCfg
    """The file that an earlier download left in a cache."""
    from huggingface_hub import try_to_load_from_cache

    if config.hf_hub_id:
        repo, _, revision = config.hf_hub_id.partition("@")
        names = (
            [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
        )
        for filename in names:
            found = try_to_load_from_cache(repo, filename, revision=revision or None)
            if isinstance(found, str):
                return Path(found)
    if config.url:
        file = _hub_file(config.url)
        if file.is_file():
            return file
    raise CheckpointError(_offline_message(f"timm's for {name}"))


def _offline_message(what: str) -> str:
    advice = "unset GEOMOE_OFFLINE and HF_HUB_OFFLINE once to download them, or give a local file"
    return f"weights: {what} are not in the cache and downloads are switched off; {advice}"


def _hub_file(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(url).path))


def _torchgeo_state(weight: str, name: str, bands: int) -> dict[str, Any]:
    try:
        import torchgeo.models
    except ImportError as error:
        raise DependencyNotFoundError(
            "weights: torchgeo is needed; install it with: pip install torchgeo"
        ) from error
    try:
        entry = torchgeo.models.get_weight(weight)
    except ValueError as error:
        raise ConfigError(
            f"weights: torchgeo has no {weight!r}; expected ENUM.ENTRY{_nearest(weight)}"
        ) from error
    model, channels = entry.meta.get("model"), entry.meta.get("in_chans")
    if model != name.split(".", 1)[0]:
        raise ConfigError(f"weights: {weight} is for {model}; the backbone is {name}")
    if channels != bands:
        raise ConfigError(f"weights: {weight} reads {channels} bands; the images have {bands}")
    if offline() and not _hub_file(entry.url).is_file():
        raise CheckpointError(_offline_message(f"torchgeo's {weight}"))
    try:
        return entry.get_state_dict(progress=False, map_location="cpu", weights_only=True)
    except Exception as error:  # network, disk, or garbage in the cache
        advice = "check the network, or download them elsewhere and give the local file"
        raise CheckpointError(
            f"weights: torchgeo's {weight} did not load ({one_line(error)}); {advice}"
        ) from error


def _nearest(weight: str) -> str:
    import difflib

    from torchgeo.models import get_model_weights, list_models

    models = [model for model in list_models() if model.startswith(("vit", "resnet", "swin"))]
    names = [str(entry) for model in models for entry in get_model_weights(model)]
    near = difflib.get_close_matches(weight, names, n=1, cutoff=0.3)
    return f"; nearest: {near[0]}" if near else ""


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
