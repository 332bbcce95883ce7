"""Weights of networks that are no plain vision transformer: strict, but for classifier and first layer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from geomoe.errors import CheckpointError, one_line
from geomoe.models.weights import load_backbone, refuse_foreign

log = logging.getLogger(__name__)


def load_network(network: nn.Module, state: Mapping[str, Any], *, where: str = "weights") -> None:
    """Load a state dict into a backbone of any kind.

    A plain vision transformer goes to :func:`~geomoe.models.load_backbone`. In others two things may
    differ: the classifier (another set of classes: it starts anew) and the first convolution (weights
    for 3 bands are spread over the network's, as timm does).

    Args:
        network: the backbone; unchanged when this raises.
        state: tensors by name: timm's, or inside "model" or "state_dict", or behind a common prefix.
        where: what to call the weights in an error.

    Raises:
        CheckpointError: keys missing, left over or of another shape; all of them are named.
    """
    if isinstance(network, VisionTransformer):
        load_backbone(network, state, where=where)
        return
    own = network.state_dict()
    found = _adapt(network, _unwrap(state, own, where), where)
    head = _classifier_keys(network)
    found = {k: v for k, v in found.items() if k not in head or (k in own and v.shape == own[k].shape)}
    if not head <= set(found):  # half a classifier is none
        found = {key: value for key, value in found.items() if key not in head}
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # older files have none
    refuse_foreign(where, own, found, optional={*head, *counters})
    network.load_state_dict({**own, **found})
    fresh = sorted(head - set(found))
    if fresh:
        log.warning("%s: no fitting %s; these start anew", where, ", ".join(fresh))


def _classifier_keys(network: nn.Module) -> set[str]:
    """Names of the classifier's parameters."""
    classifier = network.get_classifier()  # type: ignore[operator]
    own = {id(parameter) for parameter in classifier.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in own}


def _unwrap(state: Mapping[str, Any], own: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The backbone's tensors under their plain names."""
    for key in ("model", "state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    anchor = next(iter(own))
    prefixes = sorted((k.removesuffix(anchor) for k in state if k.endswith(anchor)), key=len)
    prefixes = [prefix for prefix in prefixes if not prefix or prefix.endswith(".")]
    if not prefixes:
        raise CheckpointError(f"{where}: not the weights of this network: it has no {anchor}")
    prefix = prefixes[0]
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in found.items() if isinstance(value, Tensor)}


def _adapt(network: nn.Module, state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Spread a first convolution for 3 bands over the network's own number of bands."""
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
