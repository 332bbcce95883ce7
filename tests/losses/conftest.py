"""Samples in domains of unequal size, one of one sample and one that is missing; a fixed table of numbers."""

from types import SimpleNamespace

import pytest
import torch

DOMAINS = [0, 0, 2, 0, -1, 0, 2, 3, 0, 2, 2, -1, 0]  # domain 1 is missing, 3 has one sample, -1 is unknown


@pytest.fixture
def parts():
    """Features (B, 6), logits (B, 4), labels and membership in four domains, in float64."""
    domain = torch.tensor(DOMAINS)
    return SimpleNamespace(
        features=torch.randn(len(domain), 6, dtype=torch.float64, requires_grad=True),
        logits=(2 * torch.randn(len(domain), 4, dtype=torch.float64)).requires_grad_(),
        labels=torch.randint(4, (len(domain),)),
        members=domain[:, None] == torch.arange(4),
        rows=[[i for i, own in enumerate(DOMAINS) if own == d] for d in range(4)],
    )


@pytest.fixture
def table():
    """Eight samples of three classes in two domains of four: 2 sin n and cos n, n = 1 .. 24.

    The numbers that tests hold losses of this table against were computed once by DomainBed's own functions
    (domainbed/algorithms.py at b93c22a) in float64.
    """
    number = torch.arange(1, 25, dtype=torch.float64).reshape(8, 3)
    return SimpleNamespace(
        logits=2 * number.sin(),
        features=number.cos(),
        labels=torch.arange(8) % 3,
        members=torch.arange(8)[:, None] // 4 == torch.arange(2),
    )
