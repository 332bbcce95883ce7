"""The catalogue, which does not import torch, says what keys of a configuration each network reads."""

from dataclasses import asdict

import pytest

from geomoe.catalogue import ALGORITHMS, METHODS, NETWORK_KEYS, reads
from geomoe.config import ModelConfig
from geomoe.config.methods import defaults_of
from geomoe.encoders import create_encoder
from geomoe.models import create_backbone
from geomoe.models.table import NETWORKS, Parts

OWN = {key for keys in NETWORK_KEYS.values() for key in keys}
FIRST = {METHODS[name].network: name for name in reversed(ALGORITHMS)}  # one method of each network


class Watched(dict):
    """A dict that remembers which of its values were asked."""

    def __init__(self, values):
        super().__init__(values)
        self.asked = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_read_is_what_the_catalogue_says(network):
    name, encoders = FIRST[network], []

    def backbone():
        return create_backbone("vit_quick", num_classes=3, image_size=16)

    def encoder():
        encoders.append(create_encoder("sh", out_dim=16, hidden_dim=16, legendre_polys=4))
        return encoders[-1]

    options = Watched(asdict(ModelConfig(moge_blocks=(2, 3), num_experts=4)))
    method = defaults_of(name) | {"relations": "encoder"}  # d3g_wrap has an encoder only then
    NETWORKS[network].make(Parts(backbone(), encoder, 3, options, method, (0, 1), backbone))
    assert {key for key in OWN if reads(name, f"model.{key}")} == options.asked
    assert reads(name, "encoder.noise") == bool(encoders)
    assert all(reads(name, key) for key in ("model.backbone", "optimizer.lr", "data.batch_size"))
