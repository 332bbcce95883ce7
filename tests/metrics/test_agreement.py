"""Agreement of routers equals scikit-learn's adjusted Rand index, and the best of all renumberings."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from geomoe.errors import InputError
from geomoe.metrics.agreement import adjusted_rand, routing_agreement


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_agreement_is_scikit_learns_and_that_of_the_best_renumbering(seed, noise):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 200)
    second = np.where(rng.random(200) < noise, rng.integers(0, 4, 200), rng.permutation(4)[first])
    found = routing_agreement(first, second, 4)
    assert found.adjusted_rand == pytest.approx(adjusted_rand_score(first, second))
    assert found.same == pytest.approx(np.mean(first == second))
    shares = {order: np.mean(np.array(order)[first] == second) for order in permutations(range(4))}
    assert found.matched == pytest.approx(max(shares.values()))
    assert shares[tuple(found.partner)] == pytest.approx(max(shares.values()))


def test_partitions_without_pairs():
    one = np.zeros(5, dtype=int)
    assert routing_agreement(one, one, 3).adjusted_rand == adjusted_rand_score(one, one) == 1
    assert routing_agreement(one, one + 2, 3).matched == 1
    assert routing_agreement([0], [1], 2).adjusted_rand == 1  # one sample: one part each
    apart = np.arange(3)
    assert routing_agreement(one[:3], apart, 3).adjusted_rand == adjusted_rand_score(one[:3], apart) == 0
    assert adjusted_rand(np.eye(3, dtype=int)) == 1


def test_refusals():
    with pytest.raises(InputError, match="first: empty"):
        routing_agreement(np.zeros(0, dtype=int), np.zeros(0, dtype=int), 2)
    with pytest.raises(InputError, match="second: expected 2 rows"):
        routing_agreement([0, 1], [0], 2)
