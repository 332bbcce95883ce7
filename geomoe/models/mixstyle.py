"""MixStyle: mix the statistics of early features between samples, without changing the network."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.families import find_family, prefix_tokens

STAGES = 4
EPSILON = 1e-6  # added to variances


def mix_styles(values: Tensor, share: Tensor, partner: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mix each sample's channel means and standard deviations with those of another sample.

    out = s (x - mu) / sig + m, with m = lam mu + (1 - lam) mu', s likewise, and sig^2 the
    variance with 1/(n - 1), plus 1e-6. Statistics carry no gradient.

    Args:
        values: (B, ...) features.
        share: (B,) lam, the sample's own share.
        partner: (B,) int64 row of the other sample.
        axes: axes of positions or tokens, over which the statistics are taken.

    Returns:
        Features with the shape of ``values``.
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
    """The modules after which styles are mixed: the last modules of the first stages.

    A convolutional network has four stages in timm (the stem is not a stage). A plain vision transformer has
    no stages; its blocks are divided into four groups of nearly equal size.

    Args:
        backbone: a timm network.
        stages: number of stages, 1 to 3: never after the last.

    Raises:
        ConfigError: timm does not list the network's stages, or there are too few.
    """
    if find_family(backbone) is not None:
        blocks = list(backbone.blocks)  # type: ignore[arg-type]
        ends = [len(blocks) * number // STAGES - 1 for number in range(1, stages + 1)]
        found = [blocks[end] for end in dict.fromkeys(ends) if end >= 0]
    else:
        listed = list(getattr(backbone, "feature_info", None) or [])[-STAGES:][:-1]
        found = [backbone.get_submodule(info["module"]) for info in listed[:stages]]
    if not found:
        name = type(backbone).__name__
        raise ConfigError(f"backbone: timm lists no stages of {name} after which styles could be mixed")
    return found


def style_axes(backbone: nn.Module, values: object) -> tuple[int, ...]:
    """The axes of positions in a stage's output: (B, C, H, W), (B, H, W, C) or tokens (B, N, D).

    Raises:
        ConfigError: another kind of output.
    """
    if not isinstance(values, Tensor) or values.ndim not in (3, 4):
        name = type(backbone).__name__
        msg = f"backbone: the stages of {name} return no map of features whose styles could be mixed"
        raise ConfigError(msg)
    if values.ndim == 3:
        return (1,)
    return (1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else (2, 3)


@contextlib.contextmanager
def mixing(
    backbone: nn.Module, stages: int, draw: Callable[[], tuple[Tensor, Tensor] | None]
) -> Iterator[None]:
    """Mix styles after the first stages of a network inside a ``with`` block.

    Args:
        backbone: a timm network. Class and register tokens of a transformer are not changed.
        stages: as for :func:`style_points`.
        draw: called at each point; returns shares and partners (:func:`mix_styles`), or None: no mixing.
    """
    skipped = prefix_tokens(backbone)

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
