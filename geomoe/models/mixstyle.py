"""MixStyle: the statistics of early features mixed between samples, without a change to the network."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from geomoe.errors import ConfigError

STAGES = 4
EPSILON = 1e-6  # added to variances


def mix_styles(values: Tensor, share: Tensor, partner: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Give samples a mean and a deviation, for each channel, between their own and another sample's.

    out = s (x - mu) / sig + m, with m = lam mu + (1 - lam) mu', s likewise, and sig^2 the
    variance with 1/(n - 1), plus 1e-6. Statistics carry no gradient.

    Args:
        values: (B, ...) features.
        share: (B,) lam, the sample's own share.
        partner: (B,) int64 row of the other sample.
        axes: positions or tokens: what statistics are taken over.

    Returns:
        Like ``values``.
    """
    exact = values.detach() if values.dtype == torch.float64 else values.detach().float()
    mean = exact.mean(dim=axes, keepdim=True)
    several = math.prod(exact.shape[axis] for axis in axes) > 1
    deviation = (exact.var(dim=axes, keepdim=True, correction=int(several)) + EPSILON).sqrt()
    lam = share.to(exact.dtype).view(-1, *[1] * (values.ndim - 1))
    new_mean = lam * mean + (1 - lam) * mean[partner]
    new_deviation = lam * deviation + (1 - lam) * deviation[partner]
    return ((values - mean) / deviation * new_deviation + new_mean).to(values.dtype)


def style_points(backbone: nn.Module, stages: int) -> list[nn.Module]:
    """The modules behind whose output styles are mixed: the ends of the first stages.

    A convolutional network has four stages by timm's account (a stem is none). A plain vision transformer has
    none; its blocks are cut into four runs, as equal as may be.

    Args:
        backbone: a timm network.
        stages: how many, 1 to 3: never behind the last.

    Raises:
        ConfigError: a network of which timm does not tell the stages, or that has too few.
    """
    if isinstance(backbone, VisionTransformer):
        blocks = list(backbone.blocks)
        ends = [len(blocks) * number // STAGES - 1 for number in range(1, stages + 1)]
        found = [blocks[end] for end in dict.fromkeys(ends) if end >= 0]
    else:
        listed = list(getattr(backbone, "feature_info", None) or [])[-STAGES:][:-1]
        found = [backbone.get_submodule(info["module"]) for info in listed[:stages]]
    if not found:
        name = type(backbone).__name__
        raise ConfigError(f"backbone: {name} does not tell its stages, behind which styles could be mixed")
    return found


def style_axes(backbone: nn.Module, values: object) -> tuple[int, ...]:
    """The axes of positions of what a stage answers: (B, C, H, W), (B, H, W, C) or tokens (B, N, D).

    Raises:
        ConfigError: something else.
    """
    if not isinstance(values, Tensor) or values.ndim not in (3, 4):
        name = type(backbone).__name__
        raise ConfigError(f"backbone: the stages of {name} answer with no map of features to mix styles of")
    if values.ndim == 3:
        return (1,)
    return (1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else (2, 3)


@contextlib.contextmanager
def mixing(
    backbone: nn.Module, stages: int, draw: Callable[[], tuple[Tensor, Tensor] | None]
) -> Iterator[None]:
    """Mix styles behind the first stages of a network while the block lasts.

    Args:
        backbone: a timm network. Class and register tokens of a transformer are left as they are.
        stages: as for :func:`style_points`.
        draw: asked at each of these points: shares and partners (:func:`mix_styles`); None: as it is.
    """
    skipped = backbone.num_prefix_tokens if isinstance(backbone, VisionTransformer) else 0

    def mix(module: nn.Module, given: object, values: Tensor) -> Tensor:
        axes = style_axes(backbone, values)
        drawn = draw()
        if drawn is None:
            return values
        if not skipped:
            return mix_styles(values, *drawn, axes)
        return torch.cat([values[:, :skipped], mix_styles(values[:, skipped:], *drawn, axes)], dim=1)

    handles = [point.register_forward_hook(mix) for point in style_points(backbone, stages)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
