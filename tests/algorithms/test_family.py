"""What holds for every training method of the catalogue."""

import copy
import dataclasses
import math
import typing

import pytest
import torch

from geomoe.algorithms import Method, Now, method_class
from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.config.methods import options_of
from geomoe.errors import ConfigError, GeomoeError
from geomoe.types import ModelOutput
from tests.kinds import first_of_each, folder_of

STEPS = 8


@pytest.fixture(params=METHODS)
def name(request):
    return request.param


#: Tests that train take one method of each kind without --long.
one_of_each_kind = pytest.mark.parametrize("name", list(first_of_each(METHODS, folder_of)))


def run(method, stepper, batches, first=0):
    """Updates as a run does them, each with random numbers of its own; the answers."""
    answers = []
    for number, batch in enumerate(batches, first):
        torch.manual_seed(number)
        answers.append(method.update(batch, Now(number, STEPS, number // 4), stepper))
        method.stepped(Now(number + 1, STEPS, number // 4))
        if number % 4 == 3:
            method.validated({"loss": 2.0 - number / 10, "acc": 0.5}, Now(number + 1, STEPS, number // 4))
    return answers


def trained(method):
    return {
        f"{learner}.{key}": value
        for learner, module in method.learners().items()
        for key, value in module.named_parameters()
        if value.requires_grad
    }


def test_updates_reach_every_trainable_parameter(name, make, make_batch, stepper):
    method = make(name).train()
    before = {key: value.detach().clone() for key, value in trained(method).items()}
    run(method, stepper(method), [make_batch(64) for _ in range(2)])
    for key, value in trained(method).items():
        assert value.isfinite().all(), key
        assert not torch.equal(value, before[key]), key


def test_the_total_is_the_sum_of_the_terms(name, make, make_batch, loss_of):
    output, terms = loss_of(make(name).train(), make_batch())
    assert isinstance(output, ModelOutput)
    assert output.logits.shape == (32, 5)
    assert terms.total.shape == ()
    assert math.isclose(terms.total.item(), sum(t.item() for t in terms.named.values()), rel_tol=1e-5)
    assert terms.named["task"] > 0


BATCHES = {
    "one sample": {"size": 1, "unknown": 0},
    "one sample without a place": {"size": 1, "unknown": 1},
    "no place is known": {"size": 8, "unknown": 8},
    "every place is known": {"size": 8, "unknown": 0},
    "one class": {"size": 8, "labels": [3] * 8},
    "every class once": {"size": 5, "labels": range(5)},
    "no domain is known": {"size": 4, "domains": [-1] * 4},
    "one domain": {"size": 4, "domains": [2] * 4},
    "a domain that never trained": {"size": 4, "domains": [0, 1, 7, 7]},
}


HALF = ("one sample", "every place is known", "no domain is known")  # tried in bfloat16 too


@pytest.mark.slow
def test_names_are_the_same_in_every_update(name, make, make_batch, stepper):
    """Early and late, in each turn, with several domains and one: sums over an epoch are kept by name."""
    method, lone = make(name), make_batch(6, domains=[1] * 6)
    some, found = stepper(method), set()
    for step, batch in ((0, make_batch(6)), (99_998, lone), (99_999, make_batch(6))):
        answer = method.update(batch, Now(step, 100_000, 0), some)
        found.add((*answer.terms, "|", *answer.notes))
    assert len(found) == 1


@pytest.mark.slow
@one_of_each_kind
@pytest.mark.parametrize(
    ("case", "autocast"), [(case, half) for case in BATCHES for half in (False, True)[: 1 + (case in HALF)]]
)
def test_odd_batches_are_finite(case, autocast, name, make, make_batch, stepper):
    method = make(name).train()
    batch = make_batch(**{"unknown": 2} | BATCHES[case])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        (answer, *_) = run(method, stepper(method), [batch, batch])
    assert answer.total.dtype == torch.float32
    assert answer.total.isfinite()
    for key, value in trained(method).items():
        assert value.isfinite().all(), key


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_cross_entropy_is_smoothed_as_asked(smoothing, name, make, make_batch):
    batch = make_batch(8)
    facts = make(name).facts._replace(label_smoothing=smoothing)
    method = make(name, facts=facts).eval()
    logits = method(batch).logits
    want = 0.0
    for scores, label in zip(logits.double(), batch.label, strict=True):
        log_p = (scores.exp() / scores.exp().sum()).log()
        want -= ((1 - smoothing) * log_p[label] + smoothing * log_p.mean()).item() / 8
    inner = method.inner if METHODS[name].wrapper else method
    assert inner.cross_entropy(logits, batch.label).item() == pytest.approx(want, rel=1e-5)


@pytest.mark.slow
@one_of_each_kind
def test_it_learns_a_toy_problem(name, make, make_batch, stepper):
    """Classes that a mean of pixels tells: within 60 updates it does far better than chance."""
    method, batch = make(name), make_batch(48, unknown=6)
    shift = (batch.label - 2.0)[:, None, None, None]
    batch = batch._replace(image=batch.image / 4 + shift)
    steps, right = stepper(method, kind=torch.optim.Adam, lr=3e-3), []
    for first in range(0, 60, 12):
        run(method.train(), steps, [batch] * 12, first)
        with torch.no_grad():
            right.append((method.eval()(batch).logits.argmax(dim=1) == batch.label).float().mean().item())
        if right[-1] > 0.75:
            return
    pytest.fail(f"right after each 12 updates: {right}")


def test_its_state_is_in_parameters_and_buffers_alone(name, make, make_batch, stepper):
    method = make(name).train()
    hidden = {"_parameters", "_buffers", "_modules", "training"}

    def plain():
        return {
            (path, key): copy.deepcopy(value)
            for path, module in method.named_modules()
            for key, value in vars(module).items()
            if key not in hidden and not callable(value) and not key.startswith("_")
        }

    before = plain()
    run(method, stepper(method), [make_batch(16) for _ in range(4)])  # with the end of an epoch
    method.finished([make_batch(16)])
    assert repr(plain()) == repr(before)


@pytest.mark.slow
@one_of_each_kind
def test_it_goes_on_to_the_same_bits(name, make, make_batch, stepper):
    """After five of eight updates, all that is saved goes into a new one; both take the rest."""
    batches = [make_batch(16) for _ in range(STEPS)]
    whole = make(name).train()
    steps = stepper(whole, kind=torch.optim.Adam, lr=1e-2)
    run(whole, steps, batches[:5])
    again = make(name).train()
    again.load_state_dict(whole.state_dict())
    others = stepper(again, kind=torch.optim.Adam, lr=1e-2)
    for learner, optimizer in steps.optimizers.items():
        others.optimizers[learner].load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(whole, steps, batches[5:], first=5)
    run(again, others, batches[5:], first=5)
    for method in (whole, again):
        method.finished(batches[:1])
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0, equal_nan=True, msg=key)


def test_answers_depend_on_places_exactly_where_it_says_so(name, make, make_batch, stepper):
    method = make(name).train()
    run(method, stepper(method), [make_batch(16)])  # some networks start as one without places
    method.finished([make_batch(16)])
    method.eval()
    here = make_batch(16, unknown=0)
    there = here._replace(place=here.place._replace(lonlat=here.lonlat.flip(0)))
    with torch.no_grad():
        same = torch.equal(method(here).logits, method(there).logits)
    assert same != METHODS[name].places


@pytest.mark.parametrize("placed", [name for name, entry in METHODS.items() if entry.places])
def test_features_computed_before_give_the_same_answer(placed, make, make_batch):
    method, batch = make(placed).eval(), make_batch(8)
    table = method.model.encoder.features(batch.lonlat, batch.domain)
    told = batch._replace(place=batch.place._replace(features=table))
    with torch.no_grad():
        torch.testing.assert_close(method(told).logits, method(batch).logits)


def test_the_network_for_use_is_one_of_its_modules(name, make, make_batch):
    method = make(name).eval()
    assert any(module is method.answering() for module in method.modules())
    batch = make_batch(4)
    with torch.no_grad():
        output = method.answering()(batch.image, batch.place)
    assert torch.equal(output.logits, method(batch).logits)


def test_options_are_read_from_the_source_as_they_are(name):
    fields = dataclasses.fields(method_class(name).Options)
    hints = typing.get_type_hints(method_class(name).Options)
    read = options_of(name)
    assert list(read) == [one.name for one in fields]
    for one in fields:
        found = read[one.name]
        facts = (found.hint, found.default, found.meaning, found.range)
        assert facts == (hints[one.name], one.default, one.metadata["meaning"], one.metadata["range"])
        assert one.default in found.range
        assert found.meaning
        assert not found.meaning.endswith(".")


def test_options_out_of_their_range_are_refused(name, make):
    for option, found in options_of(name).items():
        bad = [
            *(value - 1 for value in (found.range.above, found.range.at_least) if value is not None),
            *(value + 1 for value in (found.range.below, found.range.at_most) if value is not None),
            *([math.nan, math.inf] if found.hint is float else []),
            *(["nonsense"] if typing.get_origin(found.hint) is typing.Literal else []),
        ]
        assert bad, f"{option}: any value will do?"
        for value in bad:
            with pytest.raises(ConfigError, match=f"^{option}: .*; got ") as caught:
                make(name, **{option: value})
            assert isinstance(caught.value, (GeomoeError, ValueError))


def test_data_without_enough_domains_is_refused(name, make, make_batch):
    facts = make(name).facts._replace(domains=(2,), samples=(9,))
    if METHODS[name].domains > 1:
        with pytest.raises(ConfigError, match=f"algorithm: {name} compares domains and needs 2"):
            make(name, facts=facts)
    else:
        make(name, facts=facts)


def test_the_catalogue_is_about_the_classes(name):
    kind, entry = method_class(name), METHODS[name]
    assert issubclass(kind, Method)
    assert issubclass(kind.Options, Method.Options)
    assert (name in ALGORITHMS) != entry.wrapper
    assert kind.__doc__.strip()
