import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import load_balance
from geomoe.types import Routing


def route(logits, top_k):
    best = logits.topk(top_k, dim=1)
    weights = torch.zeros_like(logits).scatter(1, best.indices, best.values.softmax(dim=1))
    return Routing(weights, logits.softmax(dim=1), logits)


def loop_load_balance(logits, top_k):
    """E sum_k F_k P_k with the slots counted one by one."""
    size, experts = logits.shape
    won = [0] * experts
    for row in logits.tolist():
        for k in sorted(range(experts), key=lambda e: -row[e])[:top_k]:
            won[k] += 1
    prob = [sum(torch.exp(row[k]) / torch.exp(row).sum() for row in logits) / size for k in range(experts)]
    return experts * sum(won[k] / (size * top_k) * prob[k] for k in range(experts))


@pytest.mark.parametrize("top_k", [1, 3, 6])
def test_value_and_gradient_equal_the_definition(top_k):
    logits = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    want, got = loop_load_balance(logits, top_k), load_balance(route(logits, top_k))
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (got, want)))


def test_balance_is_one_and_collapse_is_the_number_of_experts():
    assert load_balance(route(torch.eye(4) * 30, 1)).item() == pytest.approx(1.0)
    collapsed = torch.tensor([[40.0, 0, 0, 0]]).repeat(8, 1)
    assert load_balance(route(collapsed, 1)).item() == pytest.approx(4.0)


def test_descent_evens_the_load():
    torch.manual_seed(1)
    logits = torch.randn(64, 4) + torch.tensor([3.0, 0.0, 0.0, 0.0])
    logits.requires_grad_()
    before = load_balance(route(logits, 1)).item()
    for _ in range(200):
        (grad,) = torch.autograd.grad(load_balance(route(logits, 1)), logits)
        logits = (logits - 5 * grad).detach().requires_grad_()
    assert before > 2
    assert load_balance(route(logits, 1)).item() < 1.2


def test_gates_carry_no_gradient_and_half_precision_is_raised():
    logits = torch.randn(5, 3, requires_grad=True)
    routing = route(logits, 2)
    (grad,) = torch.autograd.grad(
        load_balance(routing), routing.weights, allow_unused=True, retain_graph=True
    )
    assert grad is None
    half = Routing(*(part.bfloat16() for part in routing))
    assert load_balance(half).dtype == torch.float32


@pytest.mark.parametrize("shape", [(0, 4), (5, 1)])
def test_nothing_to_balance_has_a_finite_gradient(shape):
    logits = torch.randn(shape, requires_grad=True)
    loss = load_balance(route(logits, 1))
    loss.backward()
    assert loss.item() == pytest.approx(float(shape[0] > 0))
    assert not logits.grad.abs().gt(1e-7).any()


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3, 2), (3, 4))])
def test_refusals(shapes):
    weights, probs = (torch.rand(shape) for shape in shapes)
    with pytest.raises(InputError, match=r"one shape \(B, E\)"):
        load_balance(Routing(weights, probs, probs))
