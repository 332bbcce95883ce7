"""What holds for every training method in the table."""

import inspect
import math

import pytest
import torch

from geomoe.algorithms import ALGORITHMS, Algorithm
from geomoe.config import LossConfig
from geomoe.errors import ConfigError, GeomoeError
from geomoe.types import LossTerms, ModelOutput

NAMES = list(ALGORITHMS)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def gradients(algorithm):
    return {key: p.grad for key, p in algorithm.named_parameters() if p.requires_grad}


def test_gradient_reaches_every_trainable_parameter(name, make, make_batch):
    algorithm = make(name).train()
    algorithm.training_loss(make_batch(64))[1].total.backward()
    for key, grad in gradients(algorithm).items():
        assert grad is not None, key
        assert grad.isfinite().all(), key
        assert grad.abs().max() > 0, key


def test_total_is_the_sum_of_the_named_terms(name, make, make_batch):
    output, terms = make(name).train().training_loss(make_batch())
    assert isinstance(output, ModelOutput)
    assert isinstance(terms, LossTerms)
    assert output.logits.shape == (32, 5)
    assert terms.total.shape == ()
    assert math.isclose(terms.total.item(), sum(t.item() for t in terms.named.values()), rel_tol=1e-6)
    assert terms.named["task"] > 0


BATCHES = {
    "one sample": {"size": 1, "unknown": 0},
    "one sample without a place": {"size": 1, "unknown": 1},
    "no place is known": {"size": 8, "unknown": 8},
    "every place is known": {"size": 8, "unknown": 0},
    "one class": {"size": 8, "labels": [3] * 8},
    "every class once": {"size": 5, "labels": range(5)},
}


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("case", BATCHES)
def test_odd_batches_are_finite_and_leave_no_parameter_out(case, autocast, name, make, make_batch):
    options = {"shared_task": 0.5} if name == "moge" else {}
    algorithm = make(name, **options).train()
    batch = make_batch(**{"unknown": 2} | BATCHES[case])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        _, terms = algorithm.training_loss(batch)
    assert terms.total.dtype == torch.float32
    assert terms.total.isfinite()
    terms.total.backward()
    for key, grad in gradients(algorithm).items():
        assert grad is not None, key  # what distributed training asks for
        assert grad.isfinite().all(), key


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_task_is_the_mean_cross_entropy(smoothing, name, make, make_batch):
    batch = make_batch(8)
    output, terms = make(name, label_smoothing=smoothing).train().training_loss(batch)
    want = 0.0
    for scores, label in zip(output.logits.double(), batch.label, strict=True):
        log_p = (scores.exp() / scores.exp().sum()).log()
        want -= ((1 - smoothing) * log_p[label] + smoothing * log_p.mean()).item() / 8
    assert terms.named["task"].item() == pytest.approx(want, rel=1e-5)


def test_a_few_steps_lower_the_loss(name, make, make_batch):
    algorithm, batch = make(name).train(), make_batch(32)
    optimizer = torch.optim.Adam(algorithm.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        total = algorithm.training_loss(batch)[1].total
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < 0.8 * losses[0]


def test_answers_depend_on_places_exactly_where_it_says_so(name, make, make_batch):
    algorithm = make(name).eval()
    here = make_batch(16, unknown=0)
    there = here._replace(place=here.place._replace(lonlat=here.lonlat.flip(0)))
    with torch.no_grad():
        same = torch.equal(algorithm(here).logits, algorithm(there).logits)
    assert same != algorithm.uses_location


@pytest.mark.parametrize("placed", [name for name, kind in ALGORITHMS.items() if kind.uses_location])
def test_features_computed_before_give_the_same_answer(placed, make, make_batch):
    algorithm, batch = make(placed).eval(), make_batch(8)
    table = algorithm.model.encoder.features(batch.lonlat, batch.domain)
    told = batch._replace(place=batch.place._replace(features=table))
    with torch.no_grad():
        torch.testing.assert_close(algorithm(told).logits, algorithm(batch).logits)


def test_the_loss_can_be_asked_for_in_evaluation_mode(name, make, make_batch):
    algorithm = make(name).eval()
    with torch.no_grad():
        assert algorithm.training_loss(make_batch(8))[1].total.isfinite()


def test_weights_travel_through_the_state_dict(name, make, make_batch):
    one, two, batch = make(name).eval(), make(name).eval(), make_batch(4)
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(batch).logits, two(batch).logits)


def test_options_are_its_arguments_and_the_keys_of_the_configuration(name):
    kind = ALGORITHMS[name]
    arguments = {
        key: p for key, p in inspect.signature(kind.__init__).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    assert set(arguments) == set(kind.options)
    defaults = LossConfig()
    assert {key: p.default for key, p in arguments.items()} == {
        key: getattr(defaults, key) for key in arguments
    }
    assert issubclass(kind, Algorithm)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_refusals(smoothing, name, make):
    with pytest.raises(ConfigError, match="label_smoothing: expected 0 to below 1; got") as caught:
        make(name, label_smoothing=smoothing)
    assert isinstance(caught.value, (GeomoeError, ValueError))
