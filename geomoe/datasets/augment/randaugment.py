"""The RandAugment of WILDS (FixMatch's operations and a grey patch) on a batch, on its device.

Source: ``examples/data_augmentation/randaugment.py`` of WILDS 2.0, which applies PIL's operations image
by image. Here each operation runs once for all images that drew it, with a separate strength for each.
Values stay integers from 0 to 255, as in PIL. As in WILDS, geometric operations take the nearest pixel and
fill with black.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample

from geomoe.datasets.augment import photometric

_PATCH = (125.0, 123.0, 114.0)
_Values = Callable[[Tensor, Tensor], Tensor]


class Draws(NamedTuple):
    """The random draws for a batch, on the CPU.

    Attributes:
        operation: (B, n) positions in OPERATIONS.
        strength: (B, n) in 0..1, from an operation's lowest value to its highest.
        patch: (B, 3) in 0..1: width of the grey patch (relative to half the image), centre x and centre y.
    """

    operation: Tensor
    strength: Tensor
    patch: Tensor


def draw(count: int, operations: int = 2) -> Draws:
    """Draw operations for ``count`` images from torch's global generator; WILDS applies 2 operations."""
    chosen = torch.randint(len(OPERATIONS), (count, operations))
    return Draws(chosen, torch.rand(count, operations), torch.rand(count, 3))


def randaugment(image: Tensor, draws: Draws) -> Tensor:
    """Apply to each image the operations that it drew, then cover a square patch with grey.

    Args:
        image: (B, 3, H, W) in 0..255.
        draws: random draws; see :func:`draw`.

    Returns:
        (B, 3, H, W) float32, whole numbers from 0 to 255.
    """
    result = image.float().round()
    for operation, strength in zip(draws.operation.T, draws.strength.T, strict=True):
        changed = result.clone()
        for number, (change, low, high) in enumerate(OPERATIONS):
            chosen = (operation == number).nonzero().flatten()
            if len(chosen):
                where = chosen.to(image.device)
                value = (low + (high - low) * strength[chosen]).to(result)
                changed[where] = change(result[where], value).clamp(0, 255)
        result = changed
    return _cover(result, draws.patch)


def _cover(image: Tensor, patch: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    size = patch[:, 0].double() / 2 * width
    corners = []
    for centre, side in ((patch[:, 1], width), (patch[:, 2], height)):
        first = (centre.double() * side - size / 2).clamp(min=0).floor()
        last = (first + size).clamp(max=side).floor()  # PIL fills up to and including the last pixel
        place = torch.arange(side)
        corners.append(((place >= first[:, None]) & (place <= last[:, None])).to(image.device))
    covered = corners[1][:, None, :, None] & corners[0][:, None, None, :]
    return torch.where(covered, image.new_tensor(_PATCH)[:, None, None], image)


def _scaled(step: _Values, image: Tensor, value: Tensor) -> Tensor:
    return (step(image / 255, value) * 255).round()


def _autocontrast(image: Tensor, value: Tensor) -> Tensor:
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, ((image - low) * 255 / spread.clamp(min=1)).floor(), image)


def _equalize(image: Tensor, value: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import equalize

    return equalize(image.to(torch.uint8)).to(image)


def _identity(image: Tensor, value: Tensor) -> Tensor:
    return image


def _posterize(image: Tensor, value: Tensor) -> Tensor:
    step = 2 ** (8 - value.floor().clamp(min=1))[:, None, None, None]
    return (image / step).floor() * step


def _sharpness(image: Tensor, value: Tensor) -> Tensor:
    kernel = image.new_ones(3, 1, 3, 3)
    kernel[:, :, 1, 1] = 5
    smooth = image.clone()  # the border pixels do not change, as in PIL
    smooth[..., 1:-1, 1:-1] = (conv2d(image, kernel, groups=3) / 13).round()
    factor = value[:, None, None, None]
    return (factor * image + (1 - factor) * smooth).round()


def _solarize(image: Tensor, value: Tensor) -> Tensor:
    return torch.where(image < value[:, None, None, None], image, 255 - image)


def _rotate(image: Tensor, degrees: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    angle = degrees * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return _affine(image, (cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y))


def _shear_x(image: Tensor, value: Tensor) -> Tensor:
    return _affine(image, (1, value, 0), (0, 1, 0))


def _shear_y(image: Tensor, value: Tensor) -> Tensor:
    return _affine(image, (1, 0, 0), (value, 1, 0))


def _translate_x(image: Tensor, value: Tensor) -> Tensor:
    return _affine(image, (1, 0, value * image.shape[-1]), (0, 1, 0))


def _translate_y(image: Tensor, value: Tensor) -> Tensor:
    return _affine(image, (1, 0, 0), (0, 1, value * image.shape[-2]))


_Row = tuple[Tensor | float, Tensor | float, Tensor | float]


def _affine(image: Tensor, x_row: _Row, y_row: _Row) -> Tensor:
    """Take the output pixel (x, y) from input row . (x, y, 1); the origin is the upper left corner."""
    count, _, height, width = image.shape
    y = (torch.arange(height).to(image) + 0.5)[:, None]
    x = torch.arange(width).to(image) + 0.5
    places = []
    for row, side in ((x_row, width), (y_row, height)):
        a, b, c = (torch.as_tensor(value).to(image).expand(count)[:, None, None] for value in row)
        places.append((a * x + b * y + c) * 2 / side - 1)
    grid = torch.stack(places, dim=-1)
    return grid_sample(image, grid, mode="nearest", padding_mode="zeros", align_corners=False)


#: FixMatch's pool: operation, lowest and highest value.
OPERATIONS: tuple[tuple[_Values, float, float], ...] = (
    (_autocontrast, 0, 1),
    (partial(_scaled, photometric.brightness), 0.05, 0.95),
    (partial(_scaled, photometric.saturation), 0.05, 0.95),
    (partial(_scaled, photometric.contrast), 0.05, 0.95),
    (_equalize, 0, 1),
    (_identity, 0, 1),
    (_posterize, 4, 8),
    (_rotate, -30, 30),
    (_sharpness, 0.05, 0.95),
    (_shear_x, -0.3, 0.3),
    (_shear_y, -0.3, 0.3),
    (_solarize, 0, 256),
    (_translate_x, -0.3, 0.3),
    (_translate_y, -0.3, 0.3),
)
