"""Search spaces: what is drawn, where it lies, and that every machine draws the same."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.search import Choice, Span, ask_optuna, default_space
from geomoe.bench.planning.spec import spec_of
from geomoe.catalogue import ALGORITHMS
from geomoe.config import RunConfig
from geomoe.config.methods import options_of
from geomoe.errors import DependencyNotFoundError

SPEC = {"data": "bluemarble", "algorithms": ["erm", "moge"], "budget": 5, "seeds": 2, "trials": 3}


def value_of(config, key):
    """The value of a key, computed without the code under test."""
    section, _, name = key.partition(".")
    section = config.algorithm if section == "method" else section
    if section in config.options:
        return config.options[section].get(name)
    return reduce(getattr, key.split("."), config)


def test_draws_are_uniform_on_their_scale():
    generator = np.random.default_rng(0)
    log = [Span(1e-4, 1e-2, log=True).draw(generator) for _ in range(400)]
    flat = [Span(2.0, 3.0).draw(generator) for _ in range(400)]
    whole = [Span(1, 4, whole=True).draw(generator) for _ in range(400)]
    assert stats.kstest(np.log10(log), stats.uniform(-4, 2).cdf).pvalue > 0.01
    assert stats.kstest(flat, stats.uniform(2, 1).cdf).pvalue > 0.01
    assert stats.chisquare(np.bincount(whole)[1:]).pvalue > 0.01
    assert all(isinstance(one, int) for one in whole)
    assert {Choice(("a", "b")).draw(generator) for _ in range(20)} == {"a", "b"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_default_space_is_around_the_defaults_and_within_the_bounds(name):
    config = RunConfig(algorithm=name)
    space = default_space(config)
    assert space["optimizer.lr"] == Span(
        config.optimizer.lr / 10**0.5, config.optimizer.lr * 10**0.5, log=True
    )
    for key, span in space.items():
        section, _, option = key.partition(".")
        value = value_of(config, key)
        assert 0 < span.low < span.high
        assert span.low >= value / 10.01
        assert span.high <= value * 10.01
        if section == name:
            assert value != 0
            assert span.low in options_of(name)[option].range
            assert span.high in options_of(name)[option].range
    searched = {key.partition(".")[2] for key in space if key.startswith(f"{name}.")}
    options = options_of(name).values()
    assert searched == {one.name for one in options if isinstance(one.default, float) and one.default > 0}


def test_trials_begin_with_the_configuration_as_it_stands():
    plan = make_plan(spec_of(SPEC), Path("out"))
    first, later = plan.runs[0], [run for run in plan.runs if run.trial]
    assert plan.drawn(first) == []
    assert len(later) == 2 * 2 * 2
    draws = [tuple((one.key, one.value) for one in plan.drawn(run)) for run in later]
    assert len(set(draws)) == len(draws)
    again = make_plan(spec_of(SPEC), Path("elsewhere"))
    assert [tuple((one.key, one.value) for one in again.drawn(run)) for run in later] == draws
    for run in later:
        config = plan.config(run)
        for one in plan.drawn(run):
            assert value_of(config, one.key) == one.value


def test_a_declared_space_applies_where_it_means_something():
    space = {"moge.aux": {"low": 0.01, "high": 0.1}, "model.top_k": [1, 2]}
    plan = make_plan(spec_of({**SPEC, "search": space}), Path("out"))
    assert set(plan.rows["erm"].space) == set()  # its network has no experts: one trial
    assert sum(run.label == "erm" for run in plan.runs) == 2
    assert set(plan.rows["moge"].space) == {"moge.aux", "model.top_k"}
    only = make_plan(spec_of({**SPEC, "search": {"moge.aux": [0.1, 0.2]}}), Path("out"))
    assert sum(run.label == "erm" for run in only.runs) == 2  # nothing to search: one trial
    assert sum(run.label == "moge" for run in only.runs) == 6


def test_optuna_is_refused_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(DependencyNotFoundError, match=r"pip install 'geomoe\[optuna\]', or choose") as caught:
        make_plan(spec_of({**SPEC, "sampler": "optuna"}), Path("out"))
    assert "\n" not in str(caught.value)


def test_optuna_proposes_the_same_everywhere_and_learns():
    pytest.importorskip("optuna")
    space = {
        "optimizer.lr": Span(1e-4, 1e-2, log=True),
        "model.top_k": Choice((1, 2)),
        "seed": Span(0, 9, whole=True),
    }

    def proposed(trial, earlier):
        return {one.key: one.value for one in ask_optuna(space, ("moge", "Asia", 0, trial), earlier)}

    first, second = proposed(1, []), proposed(2, [])
    assert first == proposed(1, [])
    assert first != second
    assert 1e-4 <= first["optimizer.lr"] <= 1e-2
    history = [
        ({"optimizer.lr": 10**-e, "model.top_k": 1, "seed": 3}, -abs(e - 3)) for e in np.linspace(2, 4, 30)
    ]
    later = [proposed(trial, history)["optimizer.lr"] for trial in range(30, 60)]
    assert np.mean([abs(math.log10(one) + 3) for one in later]) < 0.4  # uniform draws: 0.5
