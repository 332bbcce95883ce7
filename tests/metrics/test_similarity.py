import numpy as np
import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import pairwise_cka
from geomoe.metrics import expert_cka


def gram_cka(x, y, estimator):
    """HSIC from the n x n Gram matrices, as Kornblith et al. (2019) and Song et al. (2012) write it."""
    n = len(x)

    def hsic(a, b):
        k, m = a @ a.T, b @ b.T
        if estimator == "biased":
            h = np.eye(n) - 1 / n
            return np.trace(k @ h @ m @ h)
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        one = np.ones(n)
        total = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return np.trace(k @ m) + total - 2 / (n - 2) * (one @ k @ m @ one)

    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_equals_the_gram_definition_and_the_loss(estimator):
    outputs = np.random.default_rng(0).normal(size=(4, 20, 6)) + 2
    outputs[1] += outputs[0]
    got = expert_cka(outputs, estimator)
    want = [[gram_cka(a, b, estimator) for b in outputs] for a in outputs]
    np.testing.assert_allclose(got, want, rtol=1e-9)
    for path in ("gram", "features"):
        loss = pairwise_cka(torch.tensor(outputs), estimator, path=path)
        np.testing.assert_allclose(got, loss.numpy(), rtol=1e-9)


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_undefined_is_nan_for_that_expert_alone(estimator):
    outputs = torch.randn(3, 8, 4)
    outputs[1] = 0.1
    matrix = expert_cka(outputs, estimator)
    assert np.isnan(matrix[1]).all()
    assert np.isnan(matrix[:, 1]).all()
    assert np.isfinite(matrix[np.ix_([0, 2], [0, 2])]).all()


BAD = [
    (lambda: expert_cka(np.ones((3, 4))), "expert_outputs: expected 3 axes"),
    (lambda: expert_cka(np.ones((3, 3, 4))), "unbiased estimator needs 4 rows or more; got 3"),
    (lambda: expert_cka(np.ones((3, 1, 4)), "biased"), "biased estimator needs 2 rows or more; got 1"),
    (lambda: expert_cka(np.ones((3, 8, 4)), "plain"), "unbiased or biased; got 'plain'"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
