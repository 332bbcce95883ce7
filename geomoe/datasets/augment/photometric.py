"""Photometric augmentation of a batch on its device, with a separate strength for each image.

The formulas are those of torchvision for floating-point images (``torchvision.transforms.v2.functional``),
which uses one strength for a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it


def grey(image: Tensor) -> Tensor:
    """(B, 1, H, W) brightness of RGB images (B, 3, H, W)."""
    return (image * image.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)


def brightness(image: Tensor, factor: Tensor) -> Tensor:
    """Scale (B, 3, H, W) in 0..1 by (B,) factors: 0 black, 1 unchanged."""
    return (image * _each(factor)).clamp(0, 1)


def contrast(image: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey by (B,) factors: 0 all grey, 1 unchanged."""
    return _blend(image, grey(image).mean(dim=(1, 2, 3), keepdim=True), factor)


def saturation(image: Tensor, factor: Tensor) -> Tensor:
    """Blend with each pixel's grey by (B,) factors: 0 without colour, 1 unchanged."""
    return _blend(image, grey(image), factor)


def hue(image: Tensor, shift: Tensor) -> Tensor:
    """Rotate the HSV hue by (B,) shifts from -0.5 to 0.5 of a turn; saturation and value do not change."""
    high, low = image.amax(dim=1), image.amin(dim=1)
    spread = high - low
    divisor = torch.where(spread > 0, spread, 1)
    red, green, blue = ((high[:, None] - image) / divisor[:, None]).unbind(dim=1)
    sector = torch.where(image[:, 1] == high, 2 + red - blue, 4 + green - red)
    sector = torch.where(image[:, 0] == high, blue - green, sector)
    turned = (sector / 6 + shift.to(image)[:, None, None]) % 1 * 6  # 0..6 sixths of a turn
    offsets = image.new_tensor((5, 3, 1))[:, None, None]
    ramp = (offsets + turned[:, None]) % 6
    return high[:, None] - spread[:, None] * torch.minimum(ramp, 4 - ramp).clamp(0, 1)


_STEPS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)


def colour_jitter(image: Tensor, strengths: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, in a separate order for each image.

    Args:
        image: (B, 3, H, W) in 0..1.
        strengths: (B, 4) on the CPU: factors of the first three, shift of the last.
        order: (B, 4) on the CPU: the four steps (0 brightness ... 3 hue) in the order of each image.
    """
    result = image.clone()
    for position in order.T:
        for number, step in enumerate(_STEPS):
            chosen = (position == number).nonzero().flatten()
            if len(chosen):
                where, strength = chosen.to(image.device), strengths[chosen, number].to(image)
                result[where] = step(result[where], strength)
    return result


def draw_jitter(count: int, amounts: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    """Draw strengths and orders as torchvision's ColorJitter does, from torch's global CPU generator.

    Args:
        count: B.
        amounts: ranges a of brightness, contrast, saturation (factors from 1 - a to 1 + a) and hue (-a to a).
    """
    spread = torch.tensor(amounts)
    strengths = (2 * torch.rand(count, 4) - 1) * spread + torch.tensor((1.0, 1.0, 1.0, 0.0))
    return strengths, torch.rand(count, 4).argsort(dim=1)


def _each(value: Tensor) -> Tensor:
    return value[:, None, None, None]


def _blend(image: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = _each(factor).to(image)
    return (factor * image + (1 - factor) * other).clamp(0, 1)
