"""Class weights act in every method, as a factor on each sample's cross-entropy."""

import pytest
import torch

from geomoe.algorithms import Now
from geomoe.catalogue import METHODS
from tests.algorithms.reference import DOMAINS, by_domain, double, losses_of, mean, same_with_gradient
from tests.kinds import first_of_each, folder_of

WEIGHTS = (0.5, 2.0, 1.0, 0.25, 3.0)
NOW = Now(1, 10, 0)  # an update of the network, where a method alternates


def after_an_update(name, make, make_batch, stepper, weights):
    torch.manual_seed(5)
    facts = make(name).facts._replace(class_weights=weights)
    torch.manual_seed(6)
    method = make(name, facts=facts).train()
    method.update(make_batch(12, domains=DOMAINS), NOW, stepper(method))
    assert not any("class_weights" in key for key in method.state_dict()), "a fact of the data, not a state"
    return {key: value.detach().clone() for key, value in method.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(first_of_each(METHODS, folder_of)))
def test_they_change_what_every_method_learns(name, make, make_batch, stepper):
    none, ones, own = (
        after_an_update(name, make, make_batch, stepper, weights) for weights in ((), (1.0,) * 5, WEIGHTS)
    )
    for key, value in none.items():
        torch.testing.assert_close(ones[key], value, rtol=1e-3, atol=1e-5, msg=key)
    assert any(not torch.allclose(own[key], value, rtol=1e-2, atol=1e-3) for key, value in none.items())


def weighted(method, batch):
    """Scores, and each sample's weighted cross-entropy, literally."""
    logits = method(batch).logits
    each = losses_of(logits, batch.label)
    return logits, [WEIGHTS[label] * loss for label, loss in zip(batch.label, each, strict=True)]


@pytest.fixture
def given(make, make_batch):
    def build(name, **options):
        facts = make(name).facts._replace(class_weights=WEIGHTS)
        return make(name, facts=facts, **options).double().eval(), double(make_batch(12, domains=DOMAINS))

    return build


def test_the_mean_is_over_samples(given):
    method, batch = given("erm")
    method.class_weights = method.class_weights.double()
    _, each = weighted(method, batch)
    same_with_gradient(method, method.losses(batch, NOW).total, mean(each))


def test_risks_are_means_of_weighted_losses(given):
    method, batch = given("vrex", weight=3.0, anneal=0)
    _, each = weighted(method, batch)
    risks = [mean([each[row] for row in rows]) for rows in by_domain(DOMAINS)]
    spread = mean([(risk - mean(risks)) ** 2 for risk in risks])
    same_with_gradient(method, method.losses(batch, NOW).total, mean(risks) + 3 * spread)


def test_irm_takes_the_slope_of_the_weighted_risk(given):
    method, batch = given("irm", weight=3.0, anneal=0, estimate="halves")
    logits, each = weighted(method, batch)
    risks, penalties = [], []
    for rows in by_domain(DOMAINS):
        risks.append(mean([each[row] for row in rows]))
        factor = torch.ones((), dtype=torch.float64, requires_grad=True)
        own = losses_of(factor * logits, batch.label)
        own = [WEIGHTS[batch.label[row]] * own[row] for row in rows]
        if len(own) > 1:
            slopes = [
                torch.autograd.grad(mean(half), factor, create_graph=True)[0]
                for half in (own[::2], own[1::2])
            ]
            penalties.append(slopes[0] * slopes[1])
    same_with_gradient(method, method.losses(batch, NOW).total, mean(risks) + 3 * mean(penalties))


def test_fishr_takes_the_variance_of_the_weighted_gradients(given):
    method, batch = given("fishr", weight=2.0, anneal=0, ema=0.0)
    head = method.model.backbone.head
    _, each = weighted(method, batch)
    variances = []
    for rows in by_domain(DOMAINS):
        slopes = [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(each[row], (head.weight, head.bias), create_graph=True)
                ]
            )
            for row in rows
        ]
        if len(rows) > 1:
            variances.append(mean([(slope - mean(slopes)) ** 2 for slope in slopes]))
    apart = mean([((one - mean(variances)) ** 2).mean() for one in variances])
    same_with_gradient(method, method.losses(batch, NOW).total, mean(each) + 2 * apart, rtol=1e-8)
