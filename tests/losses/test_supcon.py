import math

import pytest
import torch
from torch.nn import functional

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


IGNORED = {
    "same class, same group": (0, 0),
    "other class, other group": (2, 2),
}


@pytest.mark.parametrize("kind", IGNORED)
def test_all_others_are_ignored(kind):
    """Anchor 0 has positive 1 and negative 2; sample 3 is neither for anchor 0."""
    label, group = IGNORED[kind]
    features = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels, groups = torch.tensor([0, 0, 1, label]), torch.tensor([0, 1, 0, group])
    q = functional.normalize(features, dim=1)
    near, far = ((q[0] @ q[k] / 0.1).exp() for k in (1, 2))
    anchor_0 = ((near + far) / near).log()
    if kind == "same class, same group":  # 3 is an anchor like 0, and one more positive of 1
        near_3, far_3 = ((q[3] @ q[k] / 0.1).exp() for k in (1, 2))
        want = (anchor_0 + 0.0 + ((near_3 + far_3) / near_3).log()) / 3
    else:
        want = (anchor_0 + 0.0) / 2
    got = supcon(features, labels, groups, 0.1)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(*(torch.autograd.grad(v, features)[0] for v in (got, want)))


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
