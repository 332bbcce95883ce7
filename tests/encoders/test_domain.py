"""The embedding of domain ids."""

from __future__ import annotations

import pytest
import torch

from geomoe.encoders import DomainEmbedding
from geomoe.errors import ConfigError


def test_each_domain_has_its_vector_and_unknown_its_own():
    encoder = DomainEmbedding(3, out_dim=4).eval()
    lonlat = torch.full((5, 2), float("nan"), dtype=torch.float64)
    out = encoder(lonlat, domain=torch.tensor([0, 2, -1, 2, 1]))
    assert torch.equal(out[1], out[3])  # the place plays no part, not even where it is missing
    assert torch.equal(out[2], encoder.unknown)
    assert torch.equal(out[[0, 4, 1]], encoder.head.weight)
    assert torch.equal(encoder(lonlat)[0], encoder.unknown)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda e: e.features(torch.zeros(2, 2), torch.tensor([0, 3])),
            r"-1 \(unknown\) or 0 to 2; got 3 in 1 rows",
        ),
        (lambda e: e.features(torch.zeros(2, 2), torch.tensor([-2, 0])), "got -2"),
        (lambda e: e.features(torch.zeros(2, 2), torch.tensor([0])), r"expected \(2,\) whole numbers"),
        (lambda e: e.features(torch.zeros(2, 2), torch.tensor([0.0, 1.0])), "whole numbers"),
        (lambda e: e.embed_grid([0.0], [0.0]), "it knows domain ids, not places"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=message):
        call(DomainEmbedding(3, out_dim=4))


def test_number_of_domains_is_checked():
    with pytest.raises(ConfigError, match="num_domains: expected a positive whole number; got 0"):
        DomainEmbedding(0)
