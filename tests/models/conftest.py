"""A location encoder small enough to see through, and batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from geomoe.types import as_place


class TinyEncoder(nn.Module):
    """The contract of a location encoder in twelve lines."""

    feature_dim, out_dim, frozen_features = 2, 8, True

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 8)
        self.unknown = nn.Parameter(torch.randn(8))
        self.encoded = 0

    def features(self, lonlat, domain=None):
        self.encoded += 1
        return torch.nan_to_num(lonlat).float() / 90

    def embed(self, features, known):
        return torch.where(known[:, None], self.linear(features), self.unknown)

    def forward(self, place):
        place = as_place(place)
        features = self.features(place.lonlat, place.domain) if place.features is None else place.features
        return self.embed(features, place.known)


@pytest.fixture
def encoder():
    return TinyEncoder()


@pytest.fixture
def lonlat():
    return torch.stack([torch.linspace(-170, 170, 8), torch.linspace(60, -60, 8)], 1).double()
