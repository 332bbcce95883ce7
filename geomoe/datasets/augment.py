"""From a collated sample dict on the device to the ``Batch`` that models see.

Plain tensor operations: on small images on a CPU, kornia's pipeline (torchgeo's usual one) takes
several times as long for the same flips. Random numbers come from torch's global generator on the CPU,
so the result is the same on every device and repeats after ``torch.manual_seed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from geomoe.types import Batch

if TYPE_CHECKING:
    from torch import Tensor

Augment = Literal["none", "flips", "flips_rotations"]
AUGMENTS = get_args(Augment)


def to_batch(sample: dict[str, Any], mean: Tensor, std: Tensor) -> Batch:
    """Normalise the images of a collated sample dict; places stay as they are, in float64.

    Args:
        sample: image (B, bands, H, W) 0..255, label, lon, lat, domain, index, each (B,).
        mean: (bands,) of the data set, in 0..255.
        std: (bands,) of the data set, in 0..255.
    """
    image = sample["image"]
    scale = (1 / std).to(image.device).view(1, -1, 1, 1)
    shift = (-mean / std).to(image.device).view(1, -1, 1, 1)
    lonlat = torch.stack([sample["lon"].double(), sample["lat"].double()], dim=1)
    return Batch(
        image=torch.addcmul(shift, image.float(), scale),
        label=sample["label"],
        lonlat=lonlat,
        has_location=~lonlat.isnan().any(dim=1),
        domain=sample["domain"],
        index=sample["index"],
    )


def augment_images(image: Tensor, kind: Augment) -> Tensor:
    """Flip (and turn) each image of a batch on its own: the 4 or 8 symmetries of a square, equally likely.

    Args:
        image: (B, bands, H, W); square for turns.
        kind: none, flips (4 outcomes) or flips_rotations (8).
    """
    if kind == "none":
        return image
    draws = torch.randint(8 if kind == "flips_rotations" else 4, (len(image),))
    return apply_symmetry(image, draws)


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
