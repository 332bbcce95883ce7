"""Named weights of timm and torchgeo, from their servers or from a cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
from torch import nn

from geomoe.errors import CheckpointError, ConfigError, DependencyNotFoundError, one_line
from geomoe.support.offline import kept_off
from geomoe.support.text import counted

_HUB = "https://huggingface.co"
_ADVICE = "give a local file, or train from scratch (model.weights: null)"


def load_timm(name: str, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's own options
    """Create a timm model with timm's weights, from the hub or, when offline, from the hub's cache.

    Raises:
        CheckpointError: timm has no weights for it, or they cannot be fetched.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise CheckpointError(f"weights: timm has none for {name}; leave weights out or give a local file")
    overlay = None
    server = os.environ.get("HF_ENDPOINT", _HUB) if config.hf_hub_id else str(config.url or "")
    why = kept_off(server)
    if why is not None:
        overlay = {"file": str(_cached_timm(name, config, why))}
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (OSError, RuntimeError) as error:
        why = f"weights: timm's for {name} did not load ({one_line(error)})"
        raise CheckpointError(f"{why}; {_ADVICE}") from error


def _cached_timm(name: str, config: Any, why: str) -> Path:  # noqa: ANN401 - timm's PretrainedCfg
    """The cached file of an earlier download; ``why`` is the reason why nothing is downloaded now."""
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
    raise CheckpointError(f"weights: timm's for {name} are not in the cache, and {why}; {_ADVICE}")


def torchgeo_state(weight: str, name: str, bands: int) -> dict[str, Any]:
    """The tensors of torchgeo's weights.

    Args:
        weight: ENUM.ENTRY.
        name: name of the backbone that they must fit.
        bands: number of bands that they must fit.

    Raises:
        ConfigError: torchgeo has no such weights, or has them for another network or other bands.
        CheckpointError: they cannot be fetched.
        DependencyNotFoundError: torchgeo is not installed.
    """
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
        raise ConfigError(f"weights: {weight} reads {counted(channels, 'band')}; the images have {bands}")
    why = kept_off(entry.url)
    if why is not None and not _hub_file(entry.url).is_file():
        raise CheckpointError(f"weights: torchgeo's {weight} are not in the cache, and {why}; {_ADVICE}")
    try:
        return entry.get_state_dict(progress=False, map_location="cpu", weights_only=True)
    except Exception as error:  # network, disk, or garbage in the cache
        raise CheckpointError(
            f"weights: torchgeo's {weight} did not load ({one_line(error)}); {_ADVICE}"
        ) from error


def _nearest(weight: str) -> str:
    import difflib

    from torchgeo.models import get_model_weights, list_models

    models = [model for model in list_models() if model.startswith(("vit", "resnet", "swin"))]
    names = [str(entry) for model in models for entry in get_model_weights(model)]
    near = difflib.get_close_matches(weight, names, n=1, cutoff=0.3)
    return f"; nearest: {near[0]}" if near else ""


def _hub_file(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(url).path))
