"""The embedding of domain ids."""

from __future__ import annotations

import pytest
import torch

from geomoe.encoders import DomainEmbedding
from geomoe.errors import ConfigError
from geomoe.types import Place


def test_each_domain_has_its_vector_and_unknown_its_own():
    encoder = DomainEmbedding(3, out_dim=4).eval()
    lonlat = torch.full((5, 2), float("nan"), dtype=torch.float64)
    out = encoder(lonlat, domain=torch.tensor([0, 2, -1, 2, 1]))
    assert torch.equal(out[1], out[3])  # the place plays no part, not even where it is missing
    assert torch.equal(out[2], encoder.unknown)
    assert torch.equal(out[[0, 4, 1]], encoder.head.weight)
    assert torch.equal(encoder(lonlat)[0], encoder.unknown)


def test_a_domain_that_was_never_trained_is_unknown():
    encoder = DomainEmbedding(4, out_dim=4, trained=[0, 3]).eval()
    nowhere, ids = torch.full((5, 2), float("nan"), dtype=torch.float64), torch.tensor([0, 1, 2, 3, -1])
    out = encoder(nowhere, domain=ids)
    assert torch.equal(out[[0, 3]], encoder.head.weight[[0, 3]])
    assert all(torch.equal(out[row], encoder.unknown) for row in (1, 2, 4))
    assert encoder.feature_table(Place.of(nowhere, ids))[:, 0].tolist() == [0, -1, -1, 3, -1]
    assert set(encoder.state_dict()) == {"head.weight", "unknown"}  # checkpoints stay as they are
    with pytest.raises(ConfigError, match=r"trained: expected domain ids from 0 to 3; got \[1, 4\]"):
        DomainEmbedding(4, trained=[4, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda e: e.features(torch.zeros(2, 2), torch.tensor([0, 3])),
            r"-1 \(unknown\) or 0 to 2; got 3 in 1 row",
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
