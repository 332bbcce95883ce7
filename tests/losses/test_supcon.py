import math

import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses import supcon


def loop_supcon(features, labels, groups, temperature):
    """The poster's formula, sample by sample."""
    q = [row / row.norm() for row in features]
    terms = []
    for i in range(len(q)):
        positives = [j for j in range(len(q)) if labels[j] == labels[i] and groups[j] != groups[i]]
        negatives = [j for j in range(len(q)) if labels[j] != labels[i] and groups[j] == groups[i]]
        if positives:
            near = sum(torch.exp(q[i] @ q[p] / temperature) for p in positives)
            both = near + sum(torch.exp(q[i] @ q[v] / temperature) for v in negatives)
            terms.append(near.log() - both.log())
    return -sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize(("classes", "experts"), [(2, 2), (4, 3), (3, 6)])
def test_value_and_gradient_equal_the_definition(classes, experts, temperature):
    features = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    labels, groups = torch.randint(classes, (20,)), torch.randint(experts, (20,))
    labels[-1] = classes  # an anchor without a positive
    want = loop_supcon(features, labels, groups, temperature)
    got = supcon(features, labels, groups, temperature)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(*(torch.autograd.grad(loss, features)[0] for loss in (got, want)))
    assert want > 0


def test_by_hand():
    # Anchors 0 and 1 (same class, other group); 2 is the negative of 0: q0.q1 = 0, q0.q2 = 1.
    features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    loss = supcon(features, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), temperature=1.0)
    want = (math.log(1 + math.e) + 0.0) / 2  # anchor 1 has no negative and gives zero
    assert loss.item() == pytest.approx(want, rel=1e-6)


def test_same_class_same_group_and_strangers_are_ignored():
    features = torch.randn(4, 3, dtype=torch.float64)
    labels, groups = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 0, 1])
    loss = supcon(features[:2], labels[:2], groups[:2])
    assert loss.item() == 0.0
    # 2 is like 0 (same class, same group); 3 is a negative of 1 alone.
    moved = features.clone()
    moved[2] *= -1
    a = torch.autograd.functional.jacobian(lambda f: supcon(f, labels, groups), features)
    assert a[0].abs().max() > 0  # through anchor 1
    only_first = supcon(features[[0, 2, 1]], labels[[0, 2, 1]], groups[[0, 2, 1]])
    assert only_first.item() == pytest.approx(0.0, abs=1e-12)  # nobody has a negative


EMPTY = {
    "one sample": (1, [0], [0]),
    "no sample": (0, [], []),
    "one class, one group": (4, [1, 1, 1, 1], [2, 2, 2, 2]),
    "all classes differ": (3, [0, 1, 2], [0, 0, 1]),
}


@pytest.mark.parametrize("case", EMPTY)
def test_no_anchor_is_zero_with_a_gradient(case):
    size, labels, groups = EMPTY[case]
    features = torch.randn(size, 3, requires_grad=True)
    loss = supcon(features, torch.tensor(labels).long(), torch.tensor(groups).long())
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_extreme_features_stay_finite():
    features = torch.randn(8, 4)
    features[0] = 0
    features[1] *= 1e-30
    features[2] *= 1e30
    features.requires_grad_()
    loss = supcon(features, torch.arange(8) % 2, torch.arange(8) // 4, temperature=1e-3)
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    assert features.grad.isfinite().all()


def test_float32_under_autocast():
    features = torch.randn(12, 6).bfloat16()
    labels, groups = torch.arange(12) % 3, torch.arange(12) % 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = supcon(features, labels, groups)
    assert under.dtype == torch.float32
    assert torch.equal(under, supcon(features.float(), labels, groups))


BAD = [
    ((torch.zeros(3), torch.zeros(3), torch.zeros(3), 0.1), r"got \(3,\), \(3,\), \(3,\)"),
    ((torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), 0.1), r"labels \(B,\)"),
    ((torch.zeros(3, 2), torch.zeros(3), torch.zeros(3, 1), 0.1), r"groups \(B,\)"),
    ((torch.zeros(3, 2), torch.zeros(3), torch.zeros(3), 0.0), "temperature must be above 0; got 0.0"),
    ((torch.zeros(3, 2), torch.zeros(3), torch.zeros(3), math.nan), "temperature must be above 0; got nan"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        supcon(*arguments)
