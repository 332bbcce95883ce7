"""No option is ignored: with another value a short training goes another way; stopped, it resumes exactly."""

from __future__ import annotations

import dataclasses
import typing

import pytest
import torch

from geomoe.algorithms import Now, method_class
from geomoe.catalogue import METHODS
from geomoe.encoders import create_encoder
from geomoe.models.table import NETWORKS, Parts
from tests.algorithms.conftest import CLASSES, FACTS, BareStepper, build, small_backbone

MODEL = {
    "moge_blocks": (2, 3),
    "num_experts": 4,
    "top_k": 2,
    "router": "cosine",
    "gamma": 0.5,
    "learn_gamma": False,
    "expert_noise": 0.02,
    "expert_dropout": 0.0,
}
#: Values with which a short training comes to what the others are for.
SHORT = {"anneal": 0, "every": 2, "cka_tokens": 2, "p": 1.0, "iterations": 3, "norm_batches": 1}
SHORT |= {"converge": 2, "tolerance": 2, "ratio": 0.5}
#: Options that are read with a certain value of another one alone.
GIVEN = {("random_subset_moe", "share"): {"variant": "code"}}
#: A negative cosine is rare in so small a network; test_d3g.py has places with one.
ELSEWHERE = {("d3g", "negative")}
#: It has MESSI's options, and weights of 1: docs/methods.md says so.
UNREAD = {("global_moe", "alpha")}
#: SWAD's valley begins with the second validation, or the fourth, and ends at a 9 or before it, or never.
LOSSES = (4.0, 2.0, 3.0, 1.9, 3.5, 9.0, 9.0, 1.0)

OPTIONS = {(name, one.name) for name in METHODS for one in dataclasses.fields(method_class(name).Options)}


def another(value, hint, found):
    """A value that an option does not have yet."""
    if typing.get_origin(hint) is typing.Literal:
        return next(one for one in typing.get_args(hint) if one != value)
    if isinstance(value, int):
        return value + 1 if found.at_most is None or value < found.at_most else value - 1
    return value / 2 if value else 0.5


def made(name, options):
    """The method with a network as a run makes it, from the same random numbers."""
    torch.manual_seed(0)
    entry = METHODS[name]
    if entry.wrapper:
        return build(name, **options)
    kind = method_class(name)
    given = kind.Options(**options)

    def make_network():
        def encoder():
            return create_encoder("sh", out_dim=16, hidden_dim=16, legendre_polys=4)

        plain = dataclasses.asdict(given)
        parts = Parts(small_backbone(), encoder, CLASSES, MODEL, plain, FACTS.domains, small_backbone)
        return NETWORKS[entry.network].make(parts)

    return kind(given, make_network, FACTS)


def ended(name, batches, *, cut=None, **options):
    """What a short training ends with: weights, buffers, and the scores of a batch.

    Args:
        cut: the update before which all that is saved goes into a new method; None: it is not stopped.
    """
    method, updates = made(name, options).train(), len(LOSSES) if METHODS[name].wrapper else 3
    steps = BareStepper(method, lr=0.01)
    start = {key: value.clone() for key, value in method.named_buffers()}
    for number in range(updates):
        if number == cut:
            saved = method.state_dict()
            method = made(name, options).train()
            method.load_state_dict(saved)
            steps = BareStepper(method, lr=0.01)
        torch.manual_seed(number)
        method.update(batches[number % 3], Now(number, updates, 0), steps)
        method.stepped(Now(number + 1, updates, 0))
        method.validated({"loss": LOSSES[number]}, Now(number + 1, updates, 0))
    moved = {key for key, value in method.named_buffers() if not torch.equal(value, start[key])}
    assert moved <= method.state_dict().keys(), "what training changes is saved"
    method.finished(batches)
    with torch.no_grad():
        scores = method.eval()(batches[0]).logits
    return {**method.state_dict(), "scores": scores}


def alike(one, other):
    return one.keys() == other.keys() and all(
        value.shape == other[key].shape and torch.equal(value, other[key]) for key, value in one.items()
    )


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), sorted(OPTIONS - ELSEWHERE))
def test_another_value_trains_another_network_and_resumes_exactly(name, option, make_batch):
    own = method_class(name).Options
    hints, fields = typing.get_type_hints(own), {one.name: one for one in dataclasses.fields(own)}
    options = {key: value for key, value in SHORT.items() if key in fields} | GIVEN.get((name, option), {})
    value = options.get(option, fields[option].default)
    options[option] = value
    changed = options | {option: another(value, hints[option], fields[option].metadata["range"])}
    torch.manual_seed(1)
    batches = [make_batch(16) for _ in range(3)]
    before, after = (ended(name, batches, **given) for given in (options, changed))
    assert all(one.isfinite().all() for one in after.values() if one.is_floating_point())
    told = f"{name}.{option}: {value} and {changed[option]}"
    assert alike(before, after) == ((name, option) in UNREAD), told
    cut = 5 if METHODS[name].wrapper else 2
    assert alike(ended(name, batches, cut=cut, **changed), after), f"{told}, after a stop"
