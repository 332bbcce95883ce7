"""No option is ignored: with another value, and all else the same, a short training goes another way."""

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


def ended(name, batches, **options):
    """What a short training ends with: weights, buffers, and the scores of a batch."""
    method = made(name, options).train()
    steps = BareStepper(method, lr=0.01)
    updates = len(LOSSES) if METHODS[name].wrapper else 3
    for number in range(updates):
        torch.manual_seed(number)
        method.update(batches[number % 3], Now(number, updates, 0), steps)
        method.stepped(Now(number + 1, updates, 0))
        method.validated({"loss": LOSSES[number]}, Now(number + 1, updates, 0))
    method.finished(batches)
    with torch.no_grad():
        scores = method.eval()(batches[0]).logits
    return {**method.state_dict(), "scores": scores}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), sorted(OPTIONS - ELSEWHERE))
def test_another_value_trains_another_network(name, option, make_batch):
    own = method_class(name).Options
    hints, defaults = typing.get_type_hints(own), {one.name: one for one in dataclasses.fields(own)}
    options = {key: value for key, value in SHORT.items() if key in defaults} | GIVEN.get((name, option), {})
    value = options.get(option, defaults[option].default)
    changed = {option: another(value, hints[option], defaults[option].metadata["range"])}
    torch.manual_seed(1)
    batches = [make_batch(16) for _ in range(3)]
    before, again, after = (ended(name, batches, **options | more) for more in ({}, {}, changed))
    same = [key for key, one in before.items() if torch.equal(one, again[key])]
    assert len(same) == len(before), "the same options give the same bits"
    assert all(one.isfinite().all() for one in before.values() if one.is_floating_point())
    moved = before.keys() != after.keys() or any(
        one.shape != after[key].shape or not torch.equal(one, after[key]) for key, one in before.items()
    )
    assert moved == ((name, option) not in UNREAD), f"{name}.{option}: {value} and {changed[option]}"
