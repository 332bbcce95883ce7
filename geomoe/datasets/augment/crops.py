"""Random crops of a batch, each resized back to the same size, on the device."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_TRIES = 10  # attempts to draw a box that fits, as in torchvision


class Boxes(NamedTuple):
    """One box for each image, in pixels: (B,) int64 tensors on the CPU."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def random_boxes(
    count: int,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Boxes:
    """Draw boxes as torchvision's RandomResizedCrop does, from torch's global CPU generator.

    Args:
        count: B.
        height: image height in pixels.
        width: image width in pixels.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest ratio of width to height; its logarithm is drawn uniformly.
    """
    area = height * width * torch.empty(count, _TRIES, dtype=torch.float64).uniform_(*scale)
    logarithm = torch.empty(count, _TRIES, dtype=torch.float64)
    aspect = logarithm.uniform_(math.log(ratio[0]), math.log(ratio[1])).exp()
    wide, high = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    central_high, central_wide = _central(height, width, ratio)
    found = fits.any(dim=1)
    high = torch.where(found, high.gather(1, first)[:, 0], central_high)
    wide = torch.where(found, wide.gather(1, first)[:, 0], central_wide)
    place = torch.where(found[:, None], torch.rand(count, 2, dtype=torch.float64), 0.5)
    top = _offset(place[:, 0], height - high, found)
    left = _offset(place[:, 1], width - wide, found)
    return Boxes(top, left, high.long(), wide.long())


def _offset(place: Tensor, room: Tensor, found: Tensor) -> Tensor:
    """Return offsets drawn uniformly from 0 to ``room``; central boxes get half of ``room``."""
    return torch.where(found, (place * (room + 1)).floor().minimum(room), (room / 2).floor()).long()


def _central(height: int, width: int, ratio: tuple[float, float]) -> tuple[float, float]:
    """Return height and width of the largest box with an allowed ratio."""
    if width / height < ratio[0]:
        return float(round(width / ratio[0])), float(width)
    if width / height > ratio[1]:
        return float(height), float(round(height * ratio[1]))
    return float(height), float(width)


def crop_resize(image: Tensor, boxes: Boxes, size: tuple[int, int], mirror: Tensor | None = None) -> Tensor:
    """Crop one box from each image and resize it: bilinear with antialiasing, as in torch and PIL.

    Resizing along one side is a product with a weight matrix, so a batch of different boxes takes two
    batched matrix products and no copy per box.

    Args:
        image: (B, bands, H, W) floating point.
        boxes: one for each image, inside it.
        size: rows and columns of the result.
        mirror: (B,) bool on the CPU: results to mirror left-right.

    Returns:
        (B, bands, *size).
    """
    top, left, height, width = (side.to(image.device, non_blocking=True) for side in boxes)
    rows = _weights(top, height, image.shape[-2], size[0])
    columns = _weights(left, width, image.shape[-1], size[1])
    if mirror is not None:
        columns = torch.where(mirror.to(image.device)[:, None, None], columns.flip(1), columns)
    return rows[:, None].to(image) @ (image @ columns[:, None].to(image).transpose(-1, -2))


def _weights(start: Tensor, length: Tensor, before: int, after: int) -> Tensor:
    """Return (B, after, before) resize weights: triangle filters whose rows sum to 1."""
    scale = (length.float() / after)[:, None, None]
    centre = scale * (torch.arange(after, device=start.device)[:, None] + 0.5)
    pixel = torch.arange(before, device=start.device) - start[:, None, None]
    inside = (pixel >= 0) & (pixel < length[:, None, None])
    weights = (1 - (pixel + 0.5 - centre).abs() / scale.clamp(min=1)).clamp(min=0) * inside
    return weights / weights.sum(dim=2, keepdim=True)
