"""The batched transport against a literal loop in float64, POT, and closed forms."""

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import ClassPairs, grouped_sinkhorn

EXPERTS, WIDTH = 3, 96
#: ot.sinkhorn of POT 0.9.7 (method sinkhorn_log, float64, stopThr 1e-15) on FIRST and SECOND, eps 0.3.
FIRST, SECOND = [[0.0, 0.0], [1.0, 0.5], [-0.5, 2.0]], [[0.5, 1.0], [2.0, -1.0]]
POT_COST, POT_VALUE = 2.8018648186142467, 2.9270013236595207


def batch(case):
    """Labels and domains: unequal, with missing cells; the last of each has no domain."""
    torch.manual_seed(4)
    size = {"few": 14, "many": 40, "singles": 9}[case]
    label = torch.arange(size) if case == "singles" else torch.randint(3, (size,))
    domain = torch.randint(3, (size,))
    if case == "singles":
        label = label // 3
        domain = torch.arange(size) % 3
    domain[-1] = -1
    return label, domain


def sides(features, label, domain):
    """(expert, number of the pair, P, Q) in the order of ClassPairs: by class, then by domains."""
    for expert, table in enumerate(features):
        number = 0
        for kind in sorted(set(label.tolist())):
            here = sorted(
                {d for d, k in zip(domain.tolist(), label.tolist(), strict=True) if k == kind} - {-1}
            )
            for place, one in enumerate(here):
                for two in here[place + 1 :]:
                    own = label == kind
                    yield expert, number, table[own & (domain == one)], table[own & (domain == two)]
                    number += 1


def plan_of(p, q, epsilon, scale, iterations):
    """Plan, C and eps of two clouds by the plain iterations on potentials."""
    cost = torch.stack([torch.stack([(x - y).square().sum() for y in q]) for x in p])
    eps = epsilon * (cost.detach().mean() if scale == "mean" else 1.0)
    a, b = 1 / len(p), 1 / len(q)
    f, g = cost.new_zeros(len(p)), cost.new_zeros(len(q))
    for _ in range(iterations):
        f = -eps * torch.stack([((g - row) / eps + math.log(b)).logsumexp(0) for row in cost])
        g = -eps * torch.stack([((f - column) / eps + math.log(a)).logsumexp(0) for column in cost.T])
    return torch.exp((f[:, None] + g[None, :] - cost) / eps) * a * b, cost, eps


def transport(p, q, epsilon, scale, iterations, unrolled=False):
    """W_eps and <plan, C> of two clouds."""
    plan, cost, eps = plan_of(p, q, epsilon, scale, iterations)
    a, b = 1 / len(p), 1 / len(q)
    if unrolled:
        return (plan * cost).sum(), (plan * cost).sum()
    kl = (plan * (plan / (a * b)).clamp(min=1e-300).log()).sum()
    return (plan * cost).sum() + eps * kl, (plan * cost).sum()


def literal(features, label, domain, weights, epsilon=0.05, scale="mean", iterations=50, unrolled=False):
    value, cost = features.sum() * 0, 0.0
    for expert, number, p, q in sides(features, label, domain):
        found, moved = transport(p, q, epsilon, scale, iterations, unrolled)
        value = value + weights[expert, number] * found
        cost = cost + weights[expert, number] * moved.detach()
    return value, cost


def setting(case, dtype=torch.float64):
    label, domain = batch(case)
    pairs = ClassPairs.of(label, domain)
    features = torch.randn(EXPERTS, len(label), WIDTH, dtype=dtype, requires_grad=True)
    return features, label, domain, pairs, torch.rand(EXPERTS, len(pairs.first), dtype=dtype)


def close(got, want, digits):
    assert (got - want).norm() <= digits * want.norm(), ((got - want).norm() / want.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
@pytest.mark.parametrize("case", ["few", "many", "singles"])
def test_value_and_gradient_are_those_of_the_loop(case, epsilon, dtype):
    """The loop's gradient goes through all its iterations; the plan here is a constant.

    The features are wide, as those of networks: their distances differ little, and 50 iterations converge.
    """
    features, label, domain, pairs, weights = setting(case, dtype)
    got = grouped_sinkhorn(features, pairs, weights, epsilon=epsilon)
    exact = features.detach().double().requires_grad_()
    value, cost = literal(exact, label, domain, weights.double(), epsilon)
    close(got.value.detach().double(), value.detach(), 1e-5)
    close(got.cost.double(), cost, 1e-5)
    slopes = [torch.autograd.grad(v, x)[0].double() for v, x in ((got.value, features), (value, exact))]
    close(*slopes, 1e-4)
    assert torch.equal(slopes[0][:, -1], torch.zeros(EXPERTS, WIDTH).double())  # of no domain


@pytest.mark.parametrize("scale", ["mean", "absolute"])
def test_unrolled_is_the_gradient_through_the_iterations(scale):
    """Far from convergence, where a fixed plan would give another one."""
    features, label, domain, pairs, weights = setting("few")
    options = {
        "epsilon": {"mean": 0.1, "absolute": 1.0}[scale],
        "scale": scale,
        "iterations": 3,
        "unrolled": True,
    }
    got = grouped_sinkhorn(features, pairs, weights, **options)
    want, _ = literal(features, label, domain, weights, **options)
    close(got.value.detach(), want.detach(), 1e-10)
    torch.testing.assert_close(got.cost, got.value.detach())
    mine, theirs = (torch.autograd.grad(v, features)[0] for v in (got.value, want))
    close(mine, theirs, 1e-9)
    options["unrolled"] = False
    fixed = grouped_sinkhorn(features, pairs, weights, **options).value
    assert (torch.autograd.grad(fixed, features)[0] - theirs).norm() > 1e-3 * theirs.norm()


def test_the_entropic_term_makes_a_fixed_plan_exact():
    """Finite differences of the value at convergence."""
    features, _, _, pairs, weights = setting("few")
    options = {"epsilon": 0.3, "iterations": 400, "scale": "absolute"}

    def value(x):
        return grouped_sinkhorn(x, pairs, weights, **options).value

    step = torch.randn_like(features)
    (slope,) = torch.autograd.grad(value(features), features)
    with torch.no_grad():
        wide = value(features + 1e-5 * step) - value(features - 1e-5 * step)
    assert (slope * step).sum().item() == pytest.approx(wide.item() / 2e-5, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "stretch", "least", "most"), [(64, 1, 0, 1e-4), (384, 1, 0, 1e-4), (64, 10, 1e-3, 5e-2)]
)
def test_how_far_50_iterations_are_from_convergence(width, stretch, least, most):
    torch.manual_seed(0)
    features = torch.randn(1, 96, width, dtype=torch.float64)
    features[:, :, :2] *= stretch
    pairs = ClassPairs.of(torch.randint(7, (96,)), torch.arange(96) % 3)
    weights = torch.ones(1, len(pairs.first))

    def slope(iterations):
        x = features.clone().requires_grad_()
        value = grouped_sinkhorn(x, pairs, weights, iterations=iterations).value
        return torch.autograd.grad(value, x)[0]

    exact = slope(2000)
    assert least <= (slope(50) - exact).norm() / exact.norm() < most


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize(("case", "iterations"), [("few", 1), ("many", 1), ("many", 4), ("many", 30)])
def test_the_gap_is_that_of_the_sums_of_literal_plans(case, iterations, unrolled):
    features, label, domain, pairs, weights = setting(case)
    with torch.no_grad():
        features *= torch.linspace(0.2, 3, WIDTH)
        want = 0.0
        for _, _, p, q in sides(features, label, domain):
            plan, _, _ = plan_of(p, q, 0.02, "mean", iterations)
            for sums in (plan.sum(dim=1), plan.sum(dim=0)):
                want = max(want, *((len(sums) * one - 1).abs().item() for one in sums))
    found = grouped_sinkhorn(features, pairs, weights, epsilon=0.02, iterations=iterations, unrolled=unrolled)
    assert want > 1e-6
    assert found.gap.item() == pytest.approx(want, rel=1e-6)
    assert not found.gap.requires_grad


def test_pot():
    features = torch.tensor([FIRST + SECOND], dtype=torch.float64)
    pairs = ClassPairs.of(torch.zeros(5), torch.tensor([0, 0, 0, 1, 1]))
    found = grouped_sinkhorn(
        features, pairs, torch.ones(1, 1), epsilon=0.3, scale="absolute", iterations=2000
    )
    assert found.cost.item() == pytest.approx(POT_COST, rel=1e-9)
    assert found.value.item() == pytest.approx(POT_VALUE, rel=1e-9)
    assert found.gap.item() < 1e-14


def test_a_single_sample_is_moved_everywhere():
    """The plan is forced: the mean squared distance, and no entropic term."""
    torch.manual_seed(0)
    features = torch.randn(2, 4, 3, dtype=torch.float64)
    pairs = ClassPairs.of(torch.zeros(4), torch.tensor([1, 0, 1, 1]))
    assert len(pairs.free) == 0
    found = grouped_sinkhorn(features, pairs, torch.ones(2, 1))
    want = sum((features[:, 1] - features[:, n]).square().sum() for n in (0, 2, 3)) / 3
    torch.testing.assert_close(found.value, want)
    torch.testing.assert_close(found.cost, want)


EMPTY = {
    "one sample": ([0], [0]),
    "no sample": ([], []),
    "one domain": ([0, 0, 1, 1], [2, 2, 2, 2]),
    "no class in two domains": ([0, 0, 1, 1], [0, 0, 1, 1]),
    "no domain known": ([0, 0, 0, 0], [-1, -1, -1, -1]),
}


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("case", EMPTY)
def test_nothing_to_compare_is_zero_with_a_gradient(case, unrolled):
    label, domain = (torch.tensor(values).long() for values in EMPTY[case])
    features = torch.randn(2, len(label), 3, requires_grad=True)
    found = grouped_sinkhorn(features, ClassPairs.of(label, domain), torch.ones(2, 0), unrolled=unrolled)
    found.value.backward()
    assert found.value.item() == found.cost.item() == found.gap.item() == 0.0
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize(
    ("size", "scale", "unrolled"),
    [
        *[(0.0, "mean", False), (1e-12, "mean", False), (1e6, "mean", False), (1e6, "absolute", False)],
        *[(0.0, "absolute", True), (1e-12, "absolute", True), (10.0, "absolute", True)],
    ],
)
def test_extreme_features_stay_finite(size, scale, unrolled):
    features, _, _, pairs, weights = setting("many", torch.float32)
    features = (features.detach() * size).requires_grad_()
    found = grouped_sinkhorn(features, pairs, weights, epsilon=1e-3, scale=scale, unrolled=unrolled)
    found.value.backward()
    assert found.value.isfinite()
    assert features.grad.isfinite().all()
    assert found.gap.isfinite()
    assert found.value >= 0


def test_far_from_the_origin_it_keeps_its_digits():
    features, _, _, pairs, weights = setting("many", torch.float32)
    near = grouped_sinkhorn(features, pairs, weights).value
    far = grouped_sinkhorn(features + 1000.0, pairs, weights).value
    assert far.item() == pytest.approx(near.item(), rel=1e-3)


def test_float32_under_autocast():
    features, _, _, pairs, weights = setting("few", torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = grouped_sinkhorn(features.bfloat16(), pairs, weights).value
    assert under.dtype == torch.float32
    assert torch.equal(under, grouped_sinkhorn(features.bfloat16().float(), pairs, weights).value)


def test_weights_get_no_gradient():
    features, _, _, pairs, weights = setting("few")
    weights.requires_grad_()
    grouped_sinkhorn(features, pairs, weights).value.backward()
    assert weights.grad is None


PAIRS = ClassPairs.of(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
BAD = [
    ((torch.zeros(2, 4, 3), PAIRS, torch.ones(2, 1)), {}, r"features \(E, 3, D\).*got \(2, 4, 3\)"),
    ((torch.zeros(3, 3), PAIRS, torch.ones(3, 1)), {}, r"got \(3, 3\) and \(3, 1\)"),
    ((torch.zeros(2, 3, 3), PAIRS, torch.ones(2, 2)), {}, r"weights \(E, 1\); got .* and \(2, 2\)"),
    ((torch.zeros(2, 3, 3), PAIRS, torch.ones(2, 1)), {"epsilon": 0.0}, "epsilon must be above 0; got 0.0"),
    ((torch.zeros(2, 3, 3), PAIRS, torch.ones(2, 1)), {"epsilon": math.nan}, "epsilon .* got nan"),
    ((torch.zeros(2, 3, 3), PAIRS, torch.ones(2, 1)), {"iterations": 0}, "iterations .* got 0"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_refusals(arguments, options, message):
    with pytest.raises(InputError, match=message):
        grouped_sinkhorn(*arguments, **options)
