"""Routing by domain and class equals literal loops and scipy's Jensen-Shannon distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from geomoe.errors import InputError
from geomoe.metrics.prototypes import (
    class_routing,
    domain_divergences,
    domain_routing,
    jensen_shannon,
    load_deviation,
    most_deviation,
    routing_divergence,
)

DOMAINS, CLASSES, EXPERTS = 4, 5, 3


@pytest.fixture
def routed():
    """Gate weights, domains (one unknown, one without samples) and classes of 90 samples."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(EXPERTS) / 2, 90)
    return weights, rng.integers(-1, DOMAINS - 1, 90), rng.integers(0, CLASSES, 90)


def test_prototypes_are_the_literal_means(routed):
    weights, domain, label = routed
    by_domain = domain_routing(weights, domain, DOMAINS)
    cells = class_routing(weights, domain, label, DOMAINS, CLASSES)
    assert np.isnan(by_domain[3]).all()
    for k in range(DOMAINS - 1):
        rows = [weights[n] for n in range(90) if domain[n] == k]
        assert by_domain[k] == pytest.approx(
            [sum(row[m] for row in rows) / len(rows) for m in range(EXPERTS)]
        )
        for c in range(CLASSES):
            rows = [weights[n] for n in range(90) if domain[n] == k and label[n] == c]
            expected = [sum(row[m] for row in rows) / len(rows) if rows else math.nan for m in range(EXPERTS)]
            assert cells[k, c] == pytest.approx(expected, nan_ok=True)


def test_jensen_shannon_is_the_square_of_scipys_distance():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6) / 3, (2, 20))
    p[0], q[0] = [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]
    q[1] = p[1]
    found = jensen_shannon(p, q)
    expected = [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)
    assert found[0] == pytest.approx(math.log(2))
    assert found[1] == 0


def test_routing_divergence_is_the_literal_loop(routed):
    weights, domain, label = routed
    cells = class_routing(weights, domain, label, DOMAINS, CLASSES)
    cells[:2, 4] = np.nan  # class 4 is in one domain alone, and does not count
    values = []
    for c in range(CLASSES):
        there = [cells[k, c] for k in range(DOMAINS) if not math.isnan(cells[k, c, 0])]
        if len(there) < 2:
            continue
        template = [sum(p[m] for p in there) / len(there) for m in range(EXPERTS)]
        values += [jensenshannon(p, template) ** 2 for p in there]
    assert len(values) == 12
    assert routing_divergence(cells) == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_routing_divergence_at_its_ends():
    same = np.tile([0.2, 0.8], (3, 4, 1))
    assert routing_divergence(same) == 0
    apart = np.zeros((2, 1, 2))
    apart[0, 0, 0] = apart[1, 0, 1] = 1
    # JS((1, 0), (1/2, 1/2)) = H(3/4, 1/4) - H(1/2, 1/2) / 2
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert routing_divergence(apart) == pytest.approx(entropy - math.log(2) / 2)
    alone = np.full((2, 1, 2), np.nan)
    alone[0] = [0.5, 0.5]
    assert math.isnan(routing_divergence(alone))


def test_divergences_between_domains(routed):
    weights, domain, _ = routed
    rows = domain_routing(weights, domain, DOMAINS)
    found = domain_divergences(rows)
    for i in range(DOMAINS - 1):
        for j in range(DOMAINS - 1):
            assert found[i, j] == pytest.approx(jensenshannon(rows[i], rows[j]) ** 2, abs=1e-12)
    assert np.isnan(found[3]).all()


def test_load_deviation_of_the_paper():
    """MESSI reports 0.36 on PACS with six experts; 0.373 is the largest there is: one expert has it all."""
    assert load_deviation([1, 0, 0, 0, 0, 0]) == pytest.approx(math.sqrt(5) / 6)
    assert most_deviation(6) == pytest.approx(0.3727, abs=1e-4)
    assert load_deviation(np.full(6, 1 / 6)) == pytest.approx(0, abs=1e-15)
    load = [0.5, 0.3, 0.2]
    assert load_deviation(load) == pytest.approx(math.sqrt(sum((x - 1 / 3) ** 2 for x in load) / 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: domain_routing([[0.5, 0.5]], [2], 2), "domain: expected ids below 2; got 2"),
        (lambda: class_routing([[0.5, 0.5]], [0], [3], 1, 3), "label: expected ids below 3; got 3"),
        (lambda: class_routing([[0.5, 0.5]], [0, 1], [0], 2, 1), "domain: expected 1 row"),
        (lambda: domain_routing([[0.5, 0.1]], [0], 1), "weights: gate weights are 0 or more and sum to 1"),
        (lambda: routing_divergence(np.ones((2, 2))), "prototypes: expected 3 axes"),
        (lambda: domain_divergences(np.ones(2)), "routing: expected 2 axes"),
        (lambda: load_deviation([]), "mean_weight: empty"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InputError, match="^" + said):
        call()
