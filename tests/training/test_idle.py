"""A term without anything to compare is told once, in one line."""

import logging

import pytest
import torch

from geomoe.algorithms import Now, method_class
from geomoe.catalogue import METHODS
from geomoe.training.idle import IdleTerms
from tests.algorithms.conftest import build, make_batch, stepper  # noqa: F401 - fixtures

COMPARING = [name for name in METHODS if method_class(name).compares]


def shares(method, batch):
    answer = method.train().losses(batch, Now(99_999, 100_000, 0))
    return {f"train_{name}": value.item() for name, value in {**answer.terms, **answer.notes}.items()}


@pytest.mark.parametrize("name", COMPARING)
def test_what_is_named_is_zero_without_it_and_not_with_it(name, make_batch, caplog):  # noqa: F811
    torch.manual_seed(0)
    method = build(name)
    idle = IdleTerms(method)
    assert idle.needs == method.compares
    with caplog.at_level(logging.WARNING):
        labels, domains = torch.arange(24) % 2, torch.arange(24) // 2 % 4
        idle.tell(shares(method, make_batch(24, labels=labels, domains=domains)), 0)
        assert not caplog.records
        for epoch in (1, 2):
            idle.tell(shares(method, make_batch(1, labels=[0], domains=[0])), epoch)
    (record,) = caplog.records
    ((term, what),) = method.compares.items()
    assert record.getMessage() == (
        f"{term} was 0 in every batch of epoch 1: no batch had {what}; raise data.batch_size, "
        "or set data.groups_per_batch"
    )


@pytest.mark.parametrize("name", ["irm", "vrex", "rdm", "fishr"])
def test_a_penalty_that_the_run_does_not_come_to_is_told(name, caplog):
    method = build("swad", inner=build(name, anneal=8))
    early = {"irm": 1.0, "vrex": 1.0}.get(name, 0.0)
    assert [method.inner.weight(Now(step, 9, 0)) for step in (7, 8)] == [early, method.inner.options.weight]
    told = IdleTerms(method)
    told.tell_unreached(9)  # the last of nine updates has the weight
    assert not caplog.records
    told.tell_unreached(8)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{name}.anneal: the penalty has its weight after 8 updates, and this run has 8, all with weight "
        f"{early:g}; lower --{name}.anneal, or train longer"
    )


def test_a_method_inside_another_counts():
    assert IdleTerms(build("swad", inner=build("coral"))).needs == method_class("coral").compares
    assert IdleTerms(build("erm")).needs == {}


def test_a_term_of_weight_zero_is_not_told(make_batch, caplog):  # noqa: F811
    method = build("moge", supcon=0.0)
    IdleTerms(method).tell(shares(method, make_batch(1)), 0)
    assert not caplog.records
