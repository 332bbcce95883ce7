"""Augment the images of a batch on its device.

Augmentation changes images only: no flip or rotation changes a coordinate. It uses plain tensor operations,
because kornia's pipeline (torchgeo's default) takes several times as long for flips of small images on a CPU.
Random numbers come from torch's global CPU generator, so results are the same on every device and are
reproducible with ``torch.manual_seed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch

from geomoe.datasets.augment import photometric, randaugment
from geomoe.datasets.augment.crops import crop_resize, random_boxes
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Augment = Literal["none", "flips", "flips_rotations", "domainbed", "wilds_weak", "wilds_randaugment"]
AUGMENTS = get_args(Augment)
COLOUR = ("domainbed", "wilds_randaugment")  # these change colours: only for three bands of 0..255

_SYMMETRIES = {"none": 1, "wilds_weak": 2, "flips": 4, "flips_rotations": 8}
_CROP = (0.7, 1.0)  # fractions of the image area; MESSI F.2 and DomainBed
_JITTER = (0.3, 0.3, 0.3, 0.3)  # brightness, contrast, saturation, hue
_GREY = 0.1  # probability of a grey image


def check_augment(kind: Augment, bands: int, scale: Sequence[float]) -> None:
    """Refuse colour augmentation of images that are not RGB.

    Args:
        kind: kind of augmentation.
        bands: number of image bands.
        scale: raw values of black and white.

    Raises:
        ConfigError: colour augmentation of images that are not three bands of 0..255.
    """
    if kind in COLOUR and (bands != 3 or tuple(scale) != (0.0, 255.0)):
        low, high = scale
        msg = (
            f"data.augment: {kind} changes colours and needs 3 bands of 0..255; these images have {bands} "
            f"of {low:g}..{high:g}; use flips or flips_rotations"
        )
        raise ConfigError(msg)


def augment_images(image: Tensor, kind: Augment) -> Tensor:
    """Augment each image of a batch independently, before normalisation.

    Random numbers come from torch's global CPU generator on every device.

    Args:
        image: (B, bands, H, W); square for rotations; 3 bands of 0..255 for colour changes.
        kind: "none"; "flips" and "flips_rotations": the 4 or 8 symmetries of a square, equally likely;
            "domainbed": MESSI F.2, the same as DomainBed's; "wilds_weak": left-right flips, as WILDS' weak
            augmentation; "wilds_randaugment": flips, two operations of FixMatch's pool and a grey patch.

    Returns:
        (B, bands, H, W), float32 where colours change.
    """
    if kind == "domainbed":
        return _domainbed(image)
    if kind == "wilds_randaugment":
        flipped = augment_images(image, "wilds_weak")
        return randaugment.randaugment(flipped, randaugment.draw(len(image)))
    outcomes = _SYMMETRIES[kind]
    return image if outcomes == 1 else apply_symmetry(image, torch.randint(outcomes, (len(image),)))


def _domainbed(image: Tensor) -> Tensor:
    """RandomResizedCrop(scale .7 to 1), flip, ColorJitter(.3, .3, .3, .3), RandomGrayscale(.1)."""
    count, _, height, width = image.shape
    boxes = random_boxes(count, height, width, _CROP)
    mirror = torch.rand(count) < 0.5
    strengths, order = photometric.draw_jitter(count, _JITTER)
    drained = (torch.rand(count) < _GREY).nonzero().flatten().to(image.device)
    result = crop_resize(image.float() / 255, boxes, (height, width), mirror)
    result = photometric.colour_jitter(result, strengths, order)
    result[drained] = photometric.grey(result[drained]).expand(-1, 3, -1, -1)
    return result * 255


def apply_symmetry(image: Tensor, symmetry: Tensor) -> Tensor:
    """Apply one of the 8 symmetries of a square to each image.

    Args:
        image: (B, bands, H, W); square where bit 4 is used.
        symmetry: (B,) int64 on the CPU: bit 1 mirrors left-right, then bit 2 up-down, then bit 4
            swaps rows and columns.
    """
    mirrored = torch.empty_like(image)
    for code in range(8):
        chosen = (symmetry == code).nonzero().flatten().to(image.device)
        if len(chosen):
            part = image[chosen]
            dims = [dim for bit, dim in ((1, -1), (2, -2)) if code & bit]
            part = part.flip(dims) if dims else part
            mirrored[chosen] = part.transpose(-1, -2) if code & 4 else part
    return mirrored
