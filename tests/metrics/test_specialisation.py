"""Cosines and effective rank of expert outputs equal literal loops, scikit-learn and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from geomoe.errors import InputError
from geomoe.metrics import specialisation
from geomoe.metrics.specialisation import effective_ranks, expert_cosines, off_diagonal_mean


@pytest.fixture
def outputs():
    """Four experts' outputs (E, n, D) on 30 samples; some are zero."""
    x = np.random.default_rng(1).normal(size=(4, 30, 7))
    x[2] += 3 * x[0]
    x[1, 4:9] = 0
    return x


@pytest.mark.parametrize("chunk", [4096, 7])
def test_cosines_are_those_of_scikit_learn(outputs, chunk, monkeypatch):
    monkeypatch.setattr(specialisation, "_CHUNK", chunk)
    each = np.array([cosine_similarity(outputs[:, n]) for n in range(30)])
    kept = np.ones(30, dtype=bool)
    kept[4:9] = False  # expert 1 is zero there
    expected = each.mean(axis=0)
    expected[1] = expected[:, 1] = each[kept].mean(axis=0)[1]
    found = expert_cosines(outputs)
    assert found == pytest.approx(expected, abs=1e-12)
    assert np.diag(found) == pytest.approx(np.ones(4))


def test_cosine_without_samples_is_undefined(outputs):
    outputs[3] = 0
    found = expert_cosines(outputs)
    assert np.isnan(found[3]).all()
    left = [found[m, n] for m in range(3) for n in range(3) if m != n]
    assert off_diagonal_mean(found) == pytest.approx(sum(left) / len(left))
    assert math.isnan(off_diagonal_mean([[1.0]]))


@pytest.mark.parametrize("chunk", [4096, 7])
def test_effective_rank_is_the_literal_formula(outputs, chunk, monkeypatch):
    monkeypatch.setattr(specialisation, "_CHUNK", chunk)
    found = effective_ranks(outputs)
    for n in range(30):
        gram = outputs[:, n] @ outputs[:, n].T
        values = [math.sqrt(max(one, 0)) for one in np.linalg.eigvalsh(gram)]
        shares = [one / sum(values) for one in values]
        expected = math.exp(-sum(share * math.log(share) for share in shares if share > 1e-9))
        assert found[n] == pytest.approx(expected, rel=1e-5)


def test_effective_rank_in_closed_form():
    parallel = np.outer([1, 2, -3], np.arange(1, 6))[:, None]
    assert effective_ranks(parallel) == pytest.approx([1])
    orthogonal = np.eye(6)[:, None]
    assert effective_ranks(orthogonal) == pytest.approx([6])
    shares = [3 / 4, 1 / 4]
    lengths = np.diag([3.0, 1.0])[:, None]
    assert effective_ranks(lengths) == pytest.approx([math.exp(-sum(p * math.log(p) for p in shares))])
    assert np.isnan(effective_ranks(np.zeros((3, 1, 4)))).all()


def test_refusals():
    with pytest.raises(InputError, match="outputs: expected 3 axes"):
        expert_cosines(np.ones((2, 3)))
    with pytest.raises(
        InputError, match=r"outputs: expected experts, samples and features; got shape \(2, 0, 3\)"
    ):
        effective_ranks(np.ones((2, 0, 3)))
    with pytest.raises(InputError, match="matrix: expected 2 axes"):
        off_diagonal_mean([1.0])
