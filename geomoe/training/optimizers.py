"""Parameter groups of the optimisers, and the learning rate over a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from timm.models._manipulate import group_with_matcher
from timm.optim import param_groups_weight_decay

from geomoe.errors import ConfigError
from geomoe.models import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from geomoe.config import OptimizerConfig

NO_DECAY = ("*codebook", "*temperature", "*log_temperature")  # directions and scales, like norms
_HEAD = "\0"  # not the name of any parameter: no pattern matches it, so timm puts it into the topmost layer


def parameter_groups(
    module: nn.Module,
    weight_decay: float,
    rate: float | None = None,
    layer_decay: float = 1.0,
    method: nn.Module | None = None,
) -> list[dict[str, Any]]:
    """Group the trainable parameters; biases, norms, codebooks and positions have no weight decay.

    Args:
        module: the module that the optimiser trains.
        weight_decay: weight decay of the other parameters.
        rate: learning rate; needed if ``layer_decay`` is not 1.
        layer_decay: factor on the learning rate from each layer to the one below; 1: all layers have the same
            rate.
        method: what holds the networks of which ``module`` may be a part; None: ``module``.

    Raises:
        ConfigError: a layer decay for a backbone whose layers timm does not define.
    """
    keep = list(NO_DECAY)
    for prefix, part in module.named_modules():
        listed = getattr(part, "no_weight_decay", None)
        if callable(listed):
            keep += [f"{prefix}.{name}" if prefix else name for name in listed()]
    groups = param_groups_weight_decay(module, weight_decay, no_weight_decay_list=keep)
    if layer_decay == 1 or rate is None:
        return groups
    scales = layer_scales(module if method is None else method, layer_decay)
    return [part for group in groups for part in _by_scale(group, scales, rate)]


def _by_scale(group: dict[str, Any], scales: dict[int, float], rate: float) -> Iterator[dict[str, Any]]:
    parts: dict[float, list[nn.Parameter]] = {}
    for value in group["params"]:
        parts.setdefault(scales.get(id(value), 1.0), []).append(value)
    for scale in sorted(parts, reverse=True):
        yield {**group, "params": parts[scale], "lr": rate * scale}


def layer_scales(module: nn.Module, decay: float) -> dict[int, float]:
    """Factors on the learning rate, by the ``id`` of a parameter; 1 for parameters that are not listed.

    Layers are timm's (``group_matcher``). The classifier has the factor 1, the last layer below it ``decay``,
    the next one ``decay`` squared. A module outside the backbone has the factor of the layer at which it
    works (:meth:`~geomoe.models.network.Network.companions`; specialists have that of their block), or else
    1.

    Raises:
        ConfigError: a backbone whose layers timm does not define.
    """
    scales: dict[int, float] = {}
    for network in module.modules():
        if isinstance(network, Network):
            own: dict[int, float] = {}
            for backbone in network.backbones:
                own |= _backbone_scales(backbone, decay)
            for mine, there in network.companions():
                depth = max(own[id(value)] for value in there.parameters())
                own |= {id(value): depth for value in mine.parameters()}
            scales |= own
    return scales


def _backbone_scales(backbone: nn.Module, decay: float) -> dict[int, float]:
    matcher = getattr(backbone, "group_matcher", None)
    if not callable(matcher):
        name = type(backbone).__name__
        raise ConfigError(f"optimizer.layer_decay: timm knows no layers of {name}; set it to 1; got {decay}")
    named = dict(backbone.named_parameters())
    every = ((name, None) for name in (*named, _HEAD))
    layers: Any = group_with_matcher(every, matcher(coarse=False), reverse=True)
    scales = {id(value): decay ** (layers[_HEAD] - layers[name]) for name, value in named.items()}
    return scales | {id(value): 1.0 for value in classifier_of(backbone).parameters()}


def classifier_of(backbone: nn.Module) -> nn.Module:
    """The backbone's classifier; it has no parameters if the network has its own classifier."""
    return backbone.get_classifier()  # type: ignore[operator]


class LearningRate:
    """Learning rate factor: linear warm-up, then a half cosine to zero, or constant.

    Args:
        options: warmup (share of the steps) and schedule.
        total: optimiser steps of the whole run.
    """

    def __init__(self, options: OptimizerConfig, total: int) -> None:
        self.total = max(total, 1)
        self.warmup = round(options.warmup * self.total)
        self.schedule: str = options.schedule

    def __call__(self, step: int) -> float:
        """Return the factor of optimiser step ``step``, counted from 0; never 0 before the end."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.schedule == "constant":
            return 1.0
        progress = (step - self.warmup) / max(self.total - self.warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
