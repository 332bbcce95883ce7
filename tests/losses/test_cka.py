import pytest
import torch

from geomoe.errors import GeomoeError, InputError
from geomoe.losses import cka_diversity, linear_cka, pairwise_cka

ESTIMATORS = ["unbiased", "biased"]
PATHS = ["auto", "gram", "features"]


def loop_cka(x, y, estimator):
    """The definitions, entry by entry: centred cross products, or Song et al. (2012), eq. 5."""
    return loop_hsic(x, y, estimator) / (loop_hsic(x, x, estimator) * loop_hsic(y, y, estimator)).sqrt()


def loop_hsic(x, y, estimator):
    n = len(x)
    if estimator == "biased":
        xc = torch.stack([row - sum(x) / n for row in x])
        yc = torch.stack([row - sum(y) / n for row in y])
        return (yc.T @ xc).square().sum()
    k, m = ([[torch.dot(a, b) for b in t] for a in t] for t in (x, y))
    for i in range(n):
        k[i][i] = m[i][i] = x.new_zeros(())
    trace = sum(k[i][j] * m[j][i] for i in range(n) for j in range(n))
    total = sum(sum(row) for row in k) * sum(sum(row) for row in m)
    middle = sum(k[i][j] * m[j][h] for i in range(n) for j in range(n) for h in range(n))
    return (trace + total / ((n - 1) * (n - 2)) - 2 / (n - 2) * middle) / (n * (n - 3))


def loop_diversity(outputs, estimator):
    e = len(outputs)
    pairs = [loop_cka(outputs[i], outputs[j], estimator) for i in range(e) for j in range(i + 1, e)]
    return 2 / (e * (e - 1)) * sum(pairs)


def value_and_gradient(function, x):
    x = x.clone().requires_grad_()
    value = function(x)
    return value.detach(), torch.autograd.grad(value, x)[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 7, 4), (4, 6, 9)])
def test_value_and_gradient_equal_the_definition(shape, estimator, path):
    outputs = torch.randn(shape, dtype=torch.float64) + 3
    outputs[1] += 0.7 * outputs[0]
    want, want_grad = value_and_gradient(lambda x: loop_diversity(x, estimator), outputs)
    got, grad = value_and_gradient(lambda x: cka_diversity(x, estimator, path=path), outputs)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(grad, want_grad, rtol=1e-8, atol=1e-11)
    assert want_grad.abs().max() > 1e-4


@pytest.mark.parametrize("path", ["gram", "features"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_first_and_second_order(estimator, path):
    outputs = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 3, dtype=torch.float64)  # no symmetry to lean on

    def weighted(x):
        return (pairwise_cka(x, estimator, path=path) * weights).sum()

    assert torch.autograd.gradcheck(weighted, outputs)
    assert torch.autograd.gradgradcheck(
        _product, (torch.randn(2, 3, 4, dtype=torch.float64).requires_grad_(),)
    )


def _product(x):
    from geomoe.losses.cka import _OuterProduct

    return _OuterProduct.apply(x)


def test_golden_vectors():
    """Biased: <x, y> = 1 and |x|^2 = |y|^2 = 2, so 1 / 4.

    Unbiased, with K = x x^T and M = y y^T off the diagonal: sums -4, row sums -1, tr K M = -4,
    tr K K = tr M M = 12: (-4 + 16/6 - 4) / (12 + 16/6 - 4) = -1/2.
    """
    tables = torch.tensor([[1.0, -1, 0], [1, 0, -1]], dtype=torch.float64)[:, :, None]
    assert linear_cka(*tables, "biased").item() == pytest.approx(1 / 4)
    tables = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64)[:, :, None]
    assert linear_cka(*tables, "unbiased").item() == pytest.approx(-1 / 2)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_tables_of_different_width(estimator):
    x, y = torch.randn(8, 3, dtype=torch.float64), torch.randn(8, 5, dtype=torch.float64)
    y[:, :3] += x
    torch.testing.assert_close(linear_cka(x, y, estimator), loop_cka(x, y, estimator))
    torch.testing.assert_close(linear_cka(y, x, estimator), loop_cka(x, y, estimator))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_cka_does_not_see(estimator, path):
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randn(30, 4, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    value = linear_cka(x, y, estimator, path=path)
    torch.testing.assert_close(linear_cka(1e3 * x @ turn + 7, y, estimator, path=path), value)
    torch.testing.assert_close(linear_cka(x, 2 * x @ turn - 1, estimator, path=path), torch.ones_like(value))
    torch.testing.assert_close(
        pairwise_cka(torch.stack([x, y]), estimator).diagonal(), torch.ones(2).double()
    )


def test_biased_measures_noise_where_unbiased_does_not():
    biased, unbiased, true = [], [], []
    for seed in range(20):
        torch.manual_seed(seed)
        x, y = torch.randn(2, 64, 192)
        biased.append(linear_cka(x, y, "biased"))
        unbiased.append(linear_cka(x, y, "unbiased"))
        true.append(linear_cka(x, (x + y) / 2**0.5, "unbiased"))
    assert torch.stack(biased).mean() > 0.7  # n <= d: high although x and y are independent
    assert torch.stack(unbiased).mean().abs() <= 0.02
    assert abs(torch.stack(true).mean() - 0.5) < 0.03  # ||cov||^2 / (||cov_x|| ||cov_y||) = 0.5


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("rows", "path"), [(6304, "features"), (1000, "gram")])
def test_float32_keeps_its_digits_with_many_rows(rows, path, estimator):
    outputs = torch.randn(3, rows, 48) + torch.randn(rows, 48) / 3 + 5
    exact = pairwise_cka(outputs.double(), estimator, path=path)
    torch.testing.assert_close(
        pairwise_cka(outputs, estimator, path=path).double(), exact, rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_paths_agree_in_float32(estimator):
    outputs = torch.randn(6, 40, 16)
    gram, gram_grad = value_and_gradient(lambda x: cka_diversity(x, estimator, path="gram"), outputs)
    feat, feat_grad = value_and_gradient(lambda x: cka_diversity(x, estimator, path="features"), outputs)
    torch.testing.assert_close(gram, feat, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gram_grad, feat_grad, rtol=1e-4, atol=1e-7)


def test_float32_under_autocast():
    outputs = torch.randn(3, 12, 8).bfloat16()
    plain = cka_diversity(outputs.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = cka_diversity(outputs)
    assert under.dtype == torch.float32
    assert torch.equal(under, plain)


def _degenerate():
    one_row = torch.zeros(2, 6, 4)
    one_row[:, 2] = torch.randn(2, 4)
    return {
        "zeros": (torch.zeros(3, 6, 4), ESTIMATORS),
        "constant": (torch.full((3, 6, 4), 0.1), ESTIMATORS),
        "constant, large": (torch.randn(3, 1, 4).mul(1e6).expand(3, 6, 4), ESTIMATORS),
        "constant, many rows": (torch.randn(3, 1, 4).expand(3, 700, 4), ESTIMATORS),
        "one expert": (torch.randn(1, 6, 4), ESTIMATORS),
        "no expert": (torch.randn(0, 6, 4), ESTIMATORS),
        "one row": (torch.randn(3, 1, 4), ESTIMATORS),
        "no row": (torch.randn(3, 0, 4), ESTIMATORS),
        "no column": (torch.randn(3, 6, 0), ESTIMATORS),
        "three rows": (torch.randn(3, 3, 4), ["unbiased"]),
        "only one row differs": (one_row, ["unbiased"]),
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", _degenerate())
def test_nothing_to_compare_is_zero_with_a_gradient(case, path):
    outputs, estimators = _degenerate()[case]
    for estimator in estimators:
        value, grad = value_and_gradient(lambda x, e=estimator: cka_diversity(x, e, path=path), outputs)
        assert value.item() == 0.0, estimator
        assert torch.equal(grad, torch.zeros_like(outputs)), estimator


@pytest.mark.parametrize("path", ["gram", "features"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_constant_expert_leaves_the_other_pairs_alone(estimator, path):
    outputs = torch.randn(3, 8, 4, dtype=torch.float64)
    outputs[1] = 0.3
    value, grad = value_and_gradient(lambda x: cka_diversity(x, estimator, path=path), outputs)
    torch.testing.assert_close(value, loop_cka(outputs[0], outputs[2], estimator) / 3)
    assert torch.isfinite(grad).all()
    assert not grad[1].any()
    assert grad[0].abs().max() > 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nan_is_not_hidden(estimator):
    outputs = torch.randn(3, 8, 4)
    outputs[0, 0, 0] = torch.nan
    assert cka_diversity(outputs, estimator).isnan()


BAD = [
    (lambda: cka_diversity(torch.zeros(3, 4)), r"\(E, R, D\); got shape \(3, 4\)"),
    (lambda: cka_diversity(torch.zeros(3, 4, 5), "debiased"), "unbiased or biased; got 'debiased'"),
    (lambda: cka_diversity(torch.zeros(3, 4, 5), path="fast"), "auto, gram or features; got 'fast'"),
    (lambda: linear_cka(torch.zeros(3, 4), torch.zeros(4, 4)), r"\(3, 4\) and \(4, 4\)"),
    (lambda: linear_cka(torch.zeros(3), torch.zeros(3)), r"\(3,\) and \(3,\)"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert isinstance(caught.value, (GeomoeError, ValueError))
