"""Entropy, loads and likeness of experts against their formulas in float64."""

import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import expert_likeness, load_gap, routing_entropy

FORMS = ("cosine", "printed", "raw")


def literal(features, form):
    """The formulas by loops over ordered pairs of experts."""
    experts, rows, _ = features.shape
    total = features.sum() * 0
    for one in range(experts):
        for two in range(experts):
            if one == two:
                continue
            a, b = features[one], features[two]
            if form == "cosine":
                cosines = [(x @ y) / (x.norm() * y.norm()) for x, y in zip(a, b, strict=True)]
                total = total + sum(c**2 for c in cosines) / rows / (experts * (experts - 1))
                continue
            if form == "printed":
                a, b = a / a.square().sum().sqrt(), b / b.square().sum().sqrt()
            total = total + (a.T @ b / rows).square().sum()
    return total


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 5, 12])
@pytest.mark.parametrize("form", FORMS)
def test_likeness(form, rows, dtype):
    torch.manual_seed(0)
    features = torch.randn(3, rows, 7, dtype=dtype, requires_grad=True)
    exact = features.detach().double().requires_grad_()
    got, want = expert_likeness(features, form), literal(exact, form)
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    slopes = [torch.autograd.grad(v, x)[0].double() for v, x in ((got, features), (want, exact))]
    assert (slopes[0] - slopes[1]).norm() < 1e-4 * slopes[1].norm() + 1e-6


def test_what_the_forms_tell():
    """The cosine is 0 where no sample's features agree, equation 7 where none go along over the batch."""
    torch.manual_seed(0)
    alike = torch.randn(1, 8, 8).expand(4, 8, 8)
    apart = torch.zeros(4, 8, 8)
    for expert in range(4):
        apart[expert, :, 2 * expert : 2 * expert + 2] = torch.randn(8, 2)
    assert expert_likeness(alike).item() == pytest.approx(1, rel=1e-5)
    assert expert_likeness(apart).item() < 1e-6
    for form in ("printed", "raw"):
        assert expert_likeness(apart.mT, form).item() < 1e-6 < expert_likeness(alike, form).item()
    assert expert_likeness(alike, "printed") <= 4 * 3 / 8**2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 5, 3), (4, 0, 3), (0, 5, 3)])
def test_nothing_to_compare_is_zero_with_a_gradient(shape, form):
    features = torch.randn(shape, requires_grad=True)
    found = expert_likeness(features, form)
    found.backward()
    assert found.item() == 0.0
    assert torch.equal(features.grad, torch.zeros(shape))


@pytest.mark.parametrize("form", FORMS)
def test_features_of_zeros_stay_finite(form):
    features = torch.zeros(3, 4, 5, requires_grad=True)
    found = expert_likeness(features, form)
    found.backward()
    assert found.item() == 0.0
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_float32_under_autocast(form):
    features = torch.randn(3, 4, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = expert_likeness(features, form)
    assert under.dtype == torch.float32
    assert torch.equal(under, expert_likeness(features.float(), form))


def test_entropy_is_zero_when_certain_and_log_e_when_not():
    assert routing_entropy(torch.zeros(3, 6)).item() == pytest.approx(math.log(6))
    certain = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    found = routing_entropy(certain)
    found.backward()
    assert found.item() == 0.0
    assert certain.grad.isfinite().all()
    logits = torch.randn(5, 4, dtype=torch.float64)
    probs = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    want = -sum(p * math.log(p) for row in probs.tolist() for p in row) / 5
    assert routing_entropy(logits).item() == pytest.approx(want)
    assert routing_entropy(torch.zeros(0, 4)).item() == 0.0


def test_load_gap():
    assert load_gap(torch.full((4,), 0.25)).item() == 0.0
    assert load_gap(torch.tensor([1.0, 0, 0, 0])).item() == pytest.approx(0.75**2 + 3 / 16)


@pytest.mark.parametrize(("shape", "form"), [((3, 4), "raw"), ((2, 3, 4), "cosines")])
def test_refusals(shape, form):
    with pytest.raises(InputError, match=r"expected \(E, B, D\) and cosine, printed or raw; got \("):
        expert_likeness(torch.zeros(shape), form)
