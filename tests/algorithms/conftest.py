import pytest
import torch

from geomoe.algorithms import ALGORITHMS
from geomoe.encoders import create_encoder
from geomoe.models import LocationNetwork, PlainNetwork, add_moge, create_backbone
from geomoe.types import Batch, Place

CLASSES = 5


def small_model(name, **options):
    backbone = create_backbone("vit_quick", num_classes=CLASSES, image_size=16)
    if name == "erm":
        return PlainNetwork(backbone)
    encoder = create_encoder("sh", out_dim=16, hidden_dim=16, legendre_polys=4)
    if name == "erm_le":
        return LocationNetwork(backbone, encoder, CLASSES)
    return add_moge(backbone, encoder, **{"blocks": (2, 3), "num_experts": 4, "top_k": 2} | options)


@pytest.fixture
def make_model():
    return small_model


@pytest.fixture
def make():
    """Build an algorithm on a small real network: make("moge", cka=0.5)."""

    def build(name, model_options=None, **options):
        return ALGORITHMS[name](small_model(name, **model_options or {}), **options)

    return build


@pytest.fixture
def make_batch():
    """A batch of noise: make_batch(32, unknown=4) has 4 unknown places."""

    def build(size=32, unknown=4, labels=None):
        lonlat = (torch.rand(size, 2, dtype=torch.float64) - 0.5) * torch.tensor([360.0, 180.0])
        lonlat[:unknown] = torch.nan
        return Batch(
            image=torch.randn(size, 3, 16, 16),
            label=torch.randint(CLASSES, (size,)) if labels is None else torch.as_tensor(labels),
            place=Place.of(lonlat, torch.randint(-1, 4, (size,))),
            index=torch.arange(size),
        )

    return build
