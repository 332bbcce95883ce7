import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from scipy.stats.contingency import crosstab

from geomoe.errors import InputError
from geomoe.metrics import mutual_information


def loop_information(a, b, weights):
    total = sum(weights)
    nats = 0.0
    for x in set(a):
        for y in set(b):
            joint = sum(w for p, q, w in zip(a, b, weights, strict=True) if p == x and q == y) / total
            px = sum(w for p, w in zip(a, weights, strict=True) if p == x) / total
            py = sum(w for q, w in zip(b, weights, strict=True) if q == y) / total
            if joint > 0:
                nats += joint * math.log(joint / (px * py))
    return nats


def samples(n=300):
    rng = np.random.default_rng(0)
    a = rng.integers(5, size=n)
    b = np.where(rng.random(n) < 0.5, a % 3, rng.integers(3, size=n))
    return a, b, rng.random(n) * (rng.random(n) < 0.9)


def test_equals_the_definition_with_weights():
    a, b, weights = samples()
    want = loop_information(a.tolist(), b.tolist(), weights.tolist())
    got = mutual_information(a, b, weights)
    assert got.nats == pytest.approx(want, rel=1e-10)
    ha = entropy([weights[a == k].sum() for k in range(5)])
    hb = entropy([weights[b == k].sum() for k in range(3)])
    assert got.normalized == pytest.approx(want / ((ha + hb) / 2), rel=1e-10)


def test_equals_scipy_on_the_contingency_table():
    a, b, _ = samples()
    table = crosstab(a, b).count / len(a)
    want = entropy(table.ravel(), np.outer(table.sum(1), table.sum(0)).ravel())
    assert mutual_information(torch.tensor(a), torch.tensor(b)).nats == pytest.approx(want, rel=1e-10)


def test_whole_weights_are_repeats_and_names_do_not_matter():
    a, b, _ = samples(60)
    times = np.random.default_rng(1).integers(0, 4, size=60)
    repeated = mutual_information(np.repeat(a, times), np.repeat(b, times))
    assert mutual_information(a, b, times) == pytest.approx(repeated)
    names = np.array(["Asia", "Africa", "Europe"])
    assert mutual_information(names[b], a, times) == pytest.approx(repeated)


def test_ends_of_the_range():
    a = np.arange(4).repeat(4)
    b = np.tile(np.arange(4), 4)
    assert mutual_information(a, b) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert mutual_information(a, 7 - a) == pytest.approx((math.log(4), 1.0))
    assert mutual_information(a, np.zeros(16, int)) == (0.0, 0.0)
    assert mutual_information([1], [2]) == (0.0, 0.0)
    assert mutual_information(a, a, (a == 2).astype(float)) == (0.0, 0.0)  # the rest weighs nothing


BAD = [
    (lambda: mutual_information([0, 1], [0]), "second: expected 2 rows"),
    (lambda: mutual_information(np.zeros(0, int), np.zeros(0, int)), "first: empty"),
    (lambda: mutual_information([0, 1], [0.5, 1.0]), "second: expected discrete labels"),
    (lambda: mutual_information([[0]], [0]), "first: expected 1 axes"),
    (lambda: mutual_information([0, 1], [0, 1], [1.0]), "sample_weight: expected 2 rows"),
    (lambda: mutual_information([0, 1], [0, 1], [1, -1]), "row 1 has -1.0"),
    (lambda: mutual_information([0, 1], [0, 1], [1, math.nan]), "row 1 has nan"),
    (lambda: mutual_information([0, 1], [0, 1], [0, 0]), "all 2 weights are zero"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
