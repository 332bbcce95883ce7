"""Pretrained backbones: from timm and torchgeo by name, or from a local file.

Reading a file never runs code from it. Loading is strict: missing, unexpected and misshaped keys are
reported together. Only what timm adapts may differ: the position embedding (another image size), the
patch projection (another patch size, or a number of bands other than 3), and the classifier (another set of
classes: it is newly initialised, and a warning is logged).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from torch import Tensor, nn

from geomoe.errors import CheckpointError, one_line
from geomoe.models.families import Transformer, family_of, find_family
from geomoe.models.named_weights import torchgeo_state
from geomoe.support.weights import read_weights, refuse_foreign

log = logging.getLogger(__name__)

_SUFFIXES = {".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar"}
_HEAD = ("head.weight", "head.bias", "head_dist.weight", "head_dist.bias")  # the last two: distilled DeiT
# torchgeo's own loaders accept files without these: some of its weights end before the last norm.
_TORCHGEO_OPTIONAL = ("norm.weight", "norm.bias", *_HEAD)


def load_weights(vit: Transformer, weights: str, name: str) -> None:
    """Load weights by name ("torchgeo:NAME") or from a local file into a backbone called ``name``.

    Raises:
        ConfigError: torchgeo has no such weights, or has them for another backbone or other bands.
        CheckpointError: a file that is missing, corrupt, not a weights file or of another network.
        DependencyNotFoundError: torchgeo weights, but torchgeo is not installed.
    """
    torchgeo = weights.startswith("torchgeo:")
    bands = _bands(vit) if torchgeo else 0
    optional = _TORCHGEO_OPTIONAL if torchgeo else _HEAD
    load_backbone(vit, network_state(weights, name, bands), where=weights, optional=optional)


def network_state(weights: str, name: str, bands: int) -> dict[str, Any]:
    """The tensors of named weights ("torchgeo:NAME", for ``bands`` bands) or of a local file.

    Raises:
        ConfigError: torchgeo has no such weights, or has them for another network or other bands.
        CheckpointError: a file that is missing, corrupt or not a weights file, or weights that do not load.
        DependencyNotFoundError: torchgeo weights, but torchgeo is not installed.
    """
    if weights.startswith("torchgeo:"):
        return torchgeo_state(weights.removeprefix("torchgeo:"), name, bands)
    return read_state(weights)


def load_backbone(
    vit: Transformer,
    state: Mapping[str, Any],
    *,
    where: str = "weights",
    optional: tuple[str, ...] = _HEAD,
) -> None:
    """Load a state dict into a backbone: adapted where timm adapts, strict otherwise.

    Args:
        vit: the backbone; unchanged if this raises an error.
        state: tensors by name: a timm state dict, or one inside "model" or "state_dict" or with a
            common prefix, as in DeiT's files, Lightning's and geomoe's own checkpoints.
        where: name of the weights in an error.
        optional: names that may be missing.

    Raises:
        CheckpointError: keys are missing, unexpected or misshaped; all of them are named.
    """
    found = _adapt(vit, _unwrap(state, "blocks.0.norm1.weight", where, "a vision transformer"), where)
    own = vit.state_dict()
    head = [key for key in _HEAD if key in own and (key not in found or found[key].shape != own[key].shape)]
    if head:
        found = {key: value for key, value in found.items() if key not in _HEAD}
    if not isinstance(getattr(vit, "head", None), nn.Linear):
        found = {key: value for key, value in found.items() if key not in _HEAD}
    refuse_foreign(where, own, found, optional={*optional, *head})
    vit.load_state_dict({**own, **found})
    fresh = [key for key in own if key not in found]
    if fresh:
        log.warning("%s: no fitting %s; these are newly initialised", where, ", ".join(fresh))


def load_network(network: nn.Module, state: Mapping[str, Any], *, where: str = "weights") -> None:
    """Load a state dict into a backbone of any kind.

    A transformer whose blocks can hold experts is loaded by :func:`~geomoe.models.load_backbone`. In others
    two things may differ: the classifier (another set of classes: it is newly initialised) and the first
    convolution (weights for 3 bands are distributed over the network's bands, as in timm).

    Args:
        network: the backbone; unchanged if this raises an error.
        state: tensors by name: timm's, or inside "model" or "state_dict", or with a common prefix.
        where: name of the weights in an error.

    Raises:
        CheckpointError: keys are missing, unexpected or misshaped; all of them are named.
    """
    if find_family(network) is not None:
        load_backbone(cast("Transformer", network), state, where=where)
        return
    own = network.state_dict()
    found = _adapt_first(network, _unwrap(state, next(iter(own)), where, "this network"), where)
    head = _classifier_keys(network)
    found = {k: v for k, v in found.items() if k not in head or (k in own and v.shape == own[k].shape)}
    if not head <= set(found):  # an incomplete classifier is not used
        found = {key: value for key, value in found.items() if key not in head}
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # missing in older files
    refuse_foreign(where, own, found, optional={*head, *counters})
    network.load_state_dict({**own, **found})
    fresh = sorted(head - set(found))
    if fresh:
        log.warning("%s: no fitting %s; these are newly initialised", where, ", ".join(fresh))


def _classifier_keys(network: nn.Module) -> set[str]:
    """Names of the classifier's parameters."""
    classifier = network.get_classifier()  # type: ignore[operator]
    own = {id(parameter) for parameter in classifier.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in own}


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a weights file without running code from it: .safetensors, .pth, .pt, .ckpt, .bin, .tar.

    Raises:
        CheckpointError: the file is missing, of another type, empty or corrupt, or contains code.
    """
    file = Path(path)
    if file.is_file() and file.suffix not in _SUFFIXES:
        known = ", ".join(sorted(_SUFFIXES))
        raise CheckpointError(
            f"{path}: unknown type of weights file {file.suffix!r}; expected one of {known}"
        )
    state = read_weights(file, "give a local weights file, timm or torchgeo:NAME")
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dict of tensors; got {type(state).__name__}")
    return state


def _unwrap(state: Mapping[str, Any], anchor: str, where: str, what: str) -> dict[str, Tensor]:
    """The backbone's tensors, without a prefix in their names; ``anchor`` is one of these names."""
    for key in ("model", "state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    # geomoe's MoGE checkpoints hold the backbone among other modules; the shortest prefix is the outermost.
    prefixes = sorted((key.removesuffix(anchor) for key in state if key.endswith(anchor)), key=len)
    prefixes = [prefix for prefix in prefixes if not prefix or prefix.endswith(".")]
    if not prefixes:
        raise CheckpointError(f"{where}: not the weights of {what}: it has no {anchor}")
    prefix = prefixes[0]
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in found.items() if isinstance(value, Tensor)}


def _adapt(vit: Transformer, state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Resize position embedding and patch projection to this network's sizes, as timm does."""
    projection = getattr(vit.patch_embed, "proj", None)
    key = "patch_embed.proj.weight"
    try:
        if projection is None:
            return _adapt_positions(vit, state)
        state = dict(family_of(vit).adapt(state, vit))
        if key in state and state[key].shape[1] == 3 != projection.in_channels:
            state[key] = adapt_input_conv(projection.in_channels, state[key])
            log.warning(
                "%s: the patch projection of 3 bands is spread over %d", where, projection.in_channels
            )
    except (RuntimeError, ValueError, AssertionError, AttributeError) as error:
        raise CheckpointError(f"{where}: does not fit the backbone ({one_line(error)})") from error
    return state


def _adapt_positions(vit: Transformer, state: dict[str, Tensor]) -> dict[str, Tensor]:
    positions = state.get("pos_embed")
    if positions is None or vit.pos_embed is None or positions.shape == vit.pos_embed.shape:
        return state
    resized = resample_abs_pos_embed(
        positions, new_size=list(vit.patch_embed.grid_size), num_prefix_tokens=vit.num_prefix_tokens
    )
    return {**state, "pos_embed": resized}


def _bands(vit: Transformer) -> int:
    return vit.patch_embed.proj.in_channels


def _adapt_first(network: nn.Module, state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Distribute the weights of a first convolution for 3 bands over the network's number of bands."""
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    key, bands = f"{name}.weight", first.in_channels
    if key not in state or state[key].ndim != 4 or not state[key].shape[1] == 3 != bands:
        return state
    try:
        spread = adapt_input_conv(bands, state[key])
    except (RuntimeError, NotImplementedError) as error:
        raise CheckpointError(f"{where}: does not fit the backbone ({one_line(error)})") from error
    log.warning("%s: the first convolution of 3 bands is spread over %d", where, bands)
    return {**state, key: spread}
