"""Convert a collated sample dict on its device to the ``Batch`` that models take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from geomoe.types import Batch, Place

if TYPE_CHECKING:
    from torch import Tensor


def to_batch(sample: dict[str, Any], mean: Tensor, std: Tensor) -> Batch:
    """Normalise the images of a collated sample dict; places stay unchanged in float64.

    Args:
        sample: image (B, bands, H, W) 0..255, label, lon, lat, domain, index, each (B,).
        mean: (bands,) mean of the data set, in 0..255.
        std: (bands,) standard deviation of the data set, in 0..255.
    """
    image = sample["image"]
    scale = (1 / std).to(image.device).view(1, -1, 1, 1)
    shift = (-mean / std).to(image.device).view(1, -1, 1, 1)
    lonlat = torch.stack([sample["lon"].double(), sample["lat"].double()], dim=1)
    return Batch(
        image=torch.addcmul(shift, image.float(), scale),
        label=sample["label"],
        place=Place(lonlat, sample["domain"]),
        index=sample["index"],
    )
