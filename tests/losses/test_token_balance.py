"""The balance of token experts and the term on codes, against their formulas in plain Python."""

from __future__ import annotations

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import codebook_spread, smooth_load, squared_variation


def test_squared_variation():
    load = [3.0, 0.0, 5.0, 4.0]
    mean = sum(load) / 4
    want = sum((one - mean) ** 2 for one in load) / 3 / mean**2
    assert squared_variation(torch.tensor(load)).item() == pytest.approx(want, rel=1e-6)
    assert squared_variation(torch.full((5,), 7.0)).item() == 0
    assert squared_variation(torch.zeros(5)).item() == 0
    one = torch.tensor([2.0], requires_grad=True)
    assert torch.autograd.grad(squared_variation(one), one)[0].item() == 0


def test_smooth_load():
    scores = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    threshold, std = torch.randn(7, dtype=torch.float64, requires_grad=True), 0.4

    def phi(value):
        return 0.5 * (1 + torch.erf(value / math.sqrt(2)))

    want = torch.stack([sum(phi((scores[t, k] - threshold[t]) / std) for t in range(7)) for k in range(3)])
    found, mix = smooth_load(scores, threshold, std), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(found, want)
    for value in (scores, threshold):
        ours, literal = (torch.autograd.grad((one * mix).sum(), value, retain_graph=True)[0]
                         for one in (found, want))  # fmt: skip
        torch.testing.assert_close(ours, literal)


@pytest.mark.parametrize("alive", [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]])
def test_codebook_spread(alive):
    codes = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    living = [k for k in range(4) if alive[k]]
    square = sum(
        (codes[i] @ codes[j] / (codes[i].norm() * codes[j].norm()) - float(i == j)) ** 2
        for i in living
        for j in living
        if i != j
    )
    lengths = sum(codes[k].norm() for k in living) / len(living)
    want = (square.sqrt() if len(living) > 1 else 0) + lengths
    found = codebook_spread(codes, torch.tensor(alive) > 0)
    torch.testing.assert_close(found, want)
    ours, literal = (torch.autograd.grad(one, codes, retain_graph=True)[0] for one in (found, want))
    torch.testing.assert_close(ours, literal)


def test_golden_vectors():
    """(1, 3): mean 2, variance 2. Codes (3, 0), (3, 4): cosine 0.6 twice, lengths 3 and 5."""
    assert squared_variation(torch.tensor([1.0, 3.0])).item() == pytest.approx(2 / 4)
    codes = torch.tensor([[3.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    found = codebook_spread(codes, torch.ones(2, dtype=torch.bool))
    assert found.item() == pytest.approx(0.6 * math.sqrt(2) + 4)


def test_refusals():
    with pytest.raises(InputError, match=r"squared_variation: expected loads \(E,\); got \(2, 2\)"):
        squared_variation(torch.zeros(2, 2))
    for scores, threshold, std in ((2, 2, 1.0), (2, 3, 0.0), (2, 3, math.inf)):
        with pytest.raises(InputError, match="smooth_load: expected"):
            smooth_load(torch.zeros(3, scores), torch.zeros(threshold), std)
    with pytest.raises(InputError, match="codebook_spread: expected"):
        codebook_spread(torch.zeros(3, 2), torch.ones(2, dtype=torch.bool))
