"""The batched MMD against a literal loop in float64."""

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import ClassPairs, grouped_mmd

EXPERTS, WIDTH = 3, 8
OPTIONS = {
    "paper": {},
    "code": {"variances": (1.0, 4.0, 16.0), "scale": "absolute", "estimator": "unbiased"},
}


def clouds(table, label, domain):
    """P and Q in the order of ClassPairs: by class, then by domains."""
    for kind in sorted(set(label.tolist())):
        here = sorted(set(domain[label == kind].tolist()) - {-1})
        for place, one in enumerate(here):
            for two in here[place + 1 :]:
                yield table[(label == kind) & (domain == one)], table[(label == kind) & (domain == two)]


def kernel(x, y, variances, unit):
    square = (x - y).square().sum()
    return sum((-square / (2 * v * unit)).exp() for v in variances) / len(variances)


def mmd(p, q, variances, unit, estimator):
    """Means over sample pairs, by loops."""
    if estimator == "unbiased" and min(len(p), len(q)) < 2:
        return 0.0

    def within(cloud):
        skip = estimator == "unbiased"
        values = [
            kernel(x, y, variances, unit)
            for i, x in enumerate(cloud)
            for j, y in enumerate(cloud)
            if not (skip and i == j)
        ]
        return sum(values) / len(values)

    across = sum(kernel(x, y, variances, unit) for x in p for y in q) / (len(p) * len(q))
    return within(p) + within(q) - 2 * across


def literal(features, label, domain, weights, variances=(1, 2, 4, 8, 16), scale="mean", estimator="biased"):
    value = features.sum() * 0
    for table, own in zip(features, weights, strict=True):
        both = list(clouds(table, label, domain))
        rows = table.detach()
        squares = [(x - y).square().sum() for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        unit = sum(squares) / len(squares) if scale == "mean" else 1.0
        for weight, (p, q) in zip(own, both, strict=True):
            value = value + weight * mmd(p, q, variances, unit, estimator)
    return value


def setting(dtype=torch.float64, size=14):
    torch.manual_seed(3)
    label, domain = torch.randint(3, (size,)), torch.randint(3, (size,))
    domain[-1] = -1
    pairs = ClassPairs.of(label, domain)
    features = torch.randn(EXPERTS, size, WIDTH, dtype=dtype, requires_grad=True)
    return features, label, domain, pairs, torch.rand(EXPERTS, len(pairs.first), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("variant", OPTIONS)
def test_value_and_gradient_are_those_of_the_loop(variant, dtype):
    features, label, domain, pairs, weights = setting(dtype)
    assert 0 < len(pairs.free) < len(pairs.first)
    got = grouped_mmd(features, pairs, weights, **OPTIONS[variant])
    exact = features.detach().double().requires_grad_()
    want = literal(exact, label, domain, weights.double(), **OPTIONS[variant])
    slopes = [torch.autograd.grad(v, x)[0].double() for v, x in ((got, features), (want, exact))]
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    assert (slopes[0] - slopes[1]).norm() < (1e-10 if dtype == torch.float64 else 1e-5) * slopes[1].norm()


def test_equal_clouds_are_at_no_distance():
    cloud = torch.randn(1, 5, WIDTH, dtype=torch.float64)
    pairs = ClassPairs.of(torch.zeros(10), torch.arange(10) // 5)
    found = grouped_mmd(torch.cat([cloud, cloud], dim=1), pairs, torch.ones(1, 1))
    assert found.item() == pytest.approx(0, abs=1e-12)
    apart = grouped_mmd(torch.cat([cloud, cloud + 1], dim=1), pairs, torch.ones(1, 1))
    assert apart.item() > 0.1


EMPTY = {
    "one sample": ([0], [0]),
    "no sample": ([], []),
    "one domain": ([0, 0, 1, 1], [2, 2, 2, 2]),
    "no class in two domains": ([0, 0, 1, 1], [0, 0, 1, 1]),
    "no domain known": ([0, 0, 0, 0], [-1, -1, -1, -1]),
}


@pytest.mark.parametrize("variant", OPTIONS)
@pytest.mark.parametrize("case", EMPTY)
def test_nothing_to_compare_is_zero_with_a_gradient(case, variant):
    label, domain = (torch.tensor(values).long() for values in EMPTY[case])
    features = torch.randn(2, len(label), 3, requires_grad=True)
    found = grouped_mmd(features, ClassPairs.of(label, domain), torch.ones(2, 0), **OPTIONS[variant])
    found.backward()
    assert found.item() == 0.0
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e6])
@pytest.mark.parametrize("variant", OPTIONS)
def test_extreme_features_stay_finite(variant, size):
    features, _, _, pairs, weights = setting(torch.float32, 40)
    features = (features.detach() * size).requires_grad_()
    found = grouped_mmd(features, pairs, weights, **OPTIONS[variant])
    found.backward()
    assert found.isfinite()
    assert features.grad.isfinite().all()


def test_float32_under_autocast():
    features, _, _, pairs, weights = setting(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = grouped_mmd(features.bfloat16(), pairs, weights)
    assert under.dtype == torch.float32
    assert torch.equal(under, grouped_mmd(features.bfloat16().float(), pairs, weights))


PAIRS = ClassPairs.of(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
BAD = [
    (torch.zeros(2, 4, 3), {}, r"grouped_mmd: expected features \(E, 3, D\).*got \(2, 4, 3\)"),
    (torch.zeros(2, 3, 3), {"variances": ()}, r"at least one; got \[\]"),
    (torch.zeros(2, 3, 3), {"variances": (1.0, 0.0)}, r"above 0, at least one; got \[1.0, 0.0\]"),
    (torch.zeros(2, 3, 3), {"variances": (math.nan,)}, r"above 0, at least one; got \[nan\]"),
]


@pytest.mark.parametrize(("features", "options", "message"), BAD)
def test_refusals(features, options, message):
    with pytest.raises(InputError, match=message):
        grouped_mmd(features, PAIRS, torch.ones(2, 1), **options)
