"""The spec of a bench: what it says, and every fault at once."""

from __future__ import annotations

import pytest

from geomoe.bench.planning.search import Choice, Span
from geomoe.bench.planning.spec import read_spec, spec_of
from geomoe.catalogue import ALGORITHMS, CATALOGUE, METHODS
from geomoe.errors import ConfigError

LEAST = {"data": "bluemarble", "algorithms": ["erm"], "budget": 10}


def faults(values):
    with pytest.raises(ConfigError) as caught:
        spec_of({**LEAST, **values})
    lines = str(caught.value).split("\n  ")
    return lines[1:] or lines


def test_what_has_to_be_said_and_its_defaults():
    spec = spec_of(LEAST)
    assert (spec.budget, spec.seeds, spec.held_out, spec.trials) == (10, (0, 1, 2), (None,), 1)
    assert (spec.selection, spec.sampler, spec.twins, spec.workers, spec.test) == (
        "accuracy",
        "random",
        (),
        1,
        "t",
    )
    assert [one.label for one in spec.algorithms] == ["erm"]
    for key in LEAST:
        assert faults({key: None}) == [f"{key}: is missing; give it in the spec, or as a flag (geomoe bench)"]


def test_a_file_and_what_overrides_it(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(
        "data: {name: bluemarble, batch_size: 32}\nheld_out: [Asia, null]\nbudget: 20\nseeds: [3, 5]\n"
        "algorithms:\n  - erm\n  - {name: moge, label: m, around: [swad], settings: {moge: {aux: 0.5}},\n"
        "     grid: {model.num_experts: [4, 6]}}\n"
    )
    spec = read_spec(file, {"budget": 7})
    assert (spec.budget, spec.seeds, spec.held_out) == (7, (3, 5), ("Asia", None))
    assert [(one.key, one.value) for one in spec.settings] == [("data.batch_size", 32)]
    second = spec.algorithms[1]
    assert (second.name, second.label, second.around) == ("moge", "m", ("swad",))
    assert [(one.key, one.value) for one in second.settings] == [("moge.aux", 0.5)]
    assert second.grid == {"model.num_experts": (4, 6)}


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({}, ("accuracy", "accuracy")),
        ({"data": "fmow"}, ("worst", "worst")),
        ({"data": "fmow", "held_out": "Asia"}, ("accuracy", "worst")),
        ({"data": "fmow-lao", "held_out": "Asia"}, ("accuracy", "accuracy")),
        ({"data": "iwildcam-cameras"}, ("macro_f1", "macro_f1")),
        ({"data": "mapinwild"}, ("worst", "worst")),
        ({"data": "pacs", "held_out": "sketch"}, ("accuracy", "mean")),
        ({"data": "fmow", "score": "macro_f1", "selection": "last"}, ("macro_f1", "last")),
    ],
)
def test_the_data_says_what_ranks_and_what_selects(values, rules):
    spec = spec_of({**LEAST, **values})
    assert (spec.score, spec.selection) == rules


def test_a_held_out_domain_has_no_worst_one():
    (line,) = faults({"held_out": "Asia", "score": "worst"})
    assert line.startswith(
        "score: a held-out domain has no worst domain; give accuracy, worst_class or macro_f1"
    )


def test_all_methods_that_the_data_allows():
    found = spec_of({**LEAST, "algorithms": "all"}).algorithms
    assert [one.label for one in found] == [*ALGORITHMS, "erm-swad"]
    assert {name for one in found for name in (one.name, *one.around)} == set(METHODS)
    found = {one.name for one in spec_of({**LEAST, "data": "pacs", "algorithms": "all"}).algorithms}
    assert found == {name for name in ALGORITHMS if not METHODS[name].places}


def test_each_domain_is_held_out():
    assert spec_of({**LEAST, "held_out": "each"}).held_out == CATALOGUE["bluemarble"].domains
    (line,) = faults({"data": "rcmnist", "held_out": "each"})
    assert line.startswith("held_out: the domains of rcmnist are known when it is read")


def test_a_search_space():
    space = {
        "optimizer.lr": {"low": 1e-4, "high": 0.01, "log": True},
        "model": {"top_k": [1, 2]},
        "moge.aux": [0.1],
    }
    spec = spec_of({**LEAST, "algorithms": ["erm", "moge"], "trials": 3, "search": space})
    assert spec.search == {
        "optimizer.lr": Span(1e-4, 0.01, log=True),
        "model.top_k": Choice((1, 2)),
        "moge.aux": Choice((0.1,)),
    }


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"budgt": 3}, "budgt: unknown key; did you mean budget?"),
        ({"data": "bluemarbel"}, "data: no configuration or data set 'bluemarbel'; did you mean bluemarble?"),
        ({"algorithms": ["mge"]}, "algorithms.0: no algorithm 'mge'; did you mean moge?"),
        ({"algorithms": ["swad"]}, "algorithms.0: no algorithm 'swad'"),
        ({"algorithms": []}, "algorithms: expected all, or a list of methods; got []"),
        (
            {"algorithms": [{"name": "erm", "labl": "x"}]},
            "algorithms.0.labl: unknown key; did you mean label?",
        ),
        ({"algorithms": [{"name": "erm", "label": "a/b"}]}, "algorithms.0.label: expected letters, digits"),
        ({"algorithms": [{"name": "erm", "label": True}]}, "algorithms.0.label: expected letters, digits"),
        ({"algorithms": [{"name": "erm", "around": ["swat"]}]}, "algorithms.0.around: no such choice 'swat'"),
        ({"budget": 0}, "budget: expected a whole number from 1 to 1,000,000,000,000; got 0"),
        ({"budget": True}, "budget: expected a whole number from 1 to 1,000,000,000,000; got True"),
        ({"budget": 2.5}, "budget: expected a whole number from 1 to 1,000,000,000,000; got 2.5"),
        ({"seeds": 0}, "seeds: expected how many, from 1 to 100,000, or a list of different seeds up to"),
        ({"seeds": 2**63}, "seeds: expected how many, from 1 to 100,000"),
        (
            {"seeds": [2**32]},
            "seeds: expected how many, from 1 to 100,000, or a list of different seeds up to 4,294,967,295;",
        ),
        ({"trials": 2**63}, "trials: expected a whole number from 1 to 100,000; got 9223372036854775808"),
        ({"bootstrap": 2**63}, "bootstrap: expected a whole number from 0 to 1,000,000; got"),
        ({"workers": 2**63}, "workers: expected a whole number from 1 to 1,024; got"),
        ({"seeds": [1, 1]}, "seeds: expected how many"),
        ({"held_out": "Aisa"}, "held_out: no domain 'Aisa'; did you mean Asia?"),
        ({"held_out": ["Asia", "Asia"]}, "held_out: each domain once"),
        ({"held_out": 3}, "held_out: expected the name of a domain"),
        (
            {"selection": "wrst"},
            "selection: expected one of accuracy, mean, worst, macro_f1, last; got",
        ),
        ({"sampler": "optun"}, "sampler: expected one of random, optuna; got 'optun'; did you mean optuna?"),
        ({"twins": ["flop"]}, "twins: no such choice 'flop'; did you mean flops?"),
        ({"test": "z"}, "test: expected one of t, wilcoxon; got 'z'"),
        ({"settings": {"seed": 1}}, "settings.seed: the bench sets it; in a spec it is said by seeds"),
        ({"settings": {"trainer": {"max_steps": 1}}}, "settings.trainer.max_steps: the bench sets it"),
        (
            {"settings": {"trainer": {"patience": 1}}},
            "settings.trainer.patience: the bench sets it; in a spec it is said by nothing: every run has",
        ),
        (
            {"settings": {"modle": {"top_k": 1}}},
            "settings.modle.top_k: unknown key; did you mean model.top_k?",
        ),
        ({"settings": {"method": {"x": 1}}}, "settings.method.x: unknown key"),
        ({"grid": {"model.top_k": 3}}, "grid.model.top_k: expected a list of values; got 3"),
        ({"grid": {"model.top_k": [1, 1]}}, "grid.model.top_k: each value once; got [1, 1]"),
        ({"grid": {"model.top_k": ["x"]}}, "model.top_k: expected a whole number; got 'x'"),
        (
            {"grid": {"data.batch_size": [8]}},
            "grid.data.batch_size: rows would see different numbers of images",
        ),
        (
            {"algorithms": ["erm", {"name": "moge", "settings": {"data": {"split_seed": 1}}}]},
            "algorithms.1.settings.data.split_seed: rows would be compared on different samples; set it in",
        ),
        (
            {"trials": 2, "search": {"data.train_domains": [["Asia"], ["Africa"]]}},
            "search.data.train_domains: rows would be compared on different samples; set it in settings, or",
        ),
        ({"search": {"optimizer.lr": [0.1]}}, "search: with 1 trial nothing is searched"),
        (
            {"trials": 2, "search": {"optimizer.rl": [0.1]}},
            "search.optimizer.rl: unknown key; did you mean optimizer.lr?",
        ),
        ({"trials": 2, "search": {"optimizer.lr": {"low": 1}}}, "search.optimizer.lr: expected low and high"),
        (
            {"trials": 2, "search": {"optimizer.lr": {"low": 2, "high": 1}}},
            "search.optimizer.lr: expected low below",
        ),
        (
            {"trials": 2, "search": {"optimizer.lr": {"low": 0, "high": 1, "log": True}}},
            "search.optimizer.lr: expected",
        ),
        (
            {"trials": 2, "search": {"optimizer.lr": {"low": 0.5, "high": 1, "lag": True}}},
            "search.optimizer.lr.lag: unknown",
        ),
        (
            {"trials": 2, "search": {"method.aux": [0.1]}},
            "search.method.aux: no algorithm of this spec has such an",
        ),
        ({"trials": 2, "search": 3}, "search: expected default, or keys"),
        ({"trials": 2, "search": {"optimizer.lr": [0.1, -1.0]}}, "search.optimizer.lr: must be above 0"),
        (
            {"algorithms": ["irm"], "trials": 2, "search": {"irm.anneal": {"low": -5, "high": 3}}},
            "search.irm.anneal: must be at least 0; got -5",
        ),
        (
            {"algorithms": ["erm", "moge"], "trials": 2, "search": {"method.aux": [0.1, -2]}},
            "search.method.aux: must be at least 0; got -2",
        ),
        ({"trials": 2, "search": {"moge.aux": [0.1]}}, "search.moge.aux: nothing here is trained by moge"),
        ({"grid": {"moge.aux": [0.1, 0.2]}}, "grid.moge.aux: nothing here is trained by moge"),
        ({"settings": {"swad": {"ratio": 0.1}}}, "settings.swad.ratio: nothing here is trained by swad"),
        (
            {"algorithms": ["moge", {"name": "erm", "grid": {"moge.aux": [0.1, 0.2]}}]},
            "algorithms.1.grid.moge.aux: nothing here is trained by moge",
        ),
        ({"workers": 0}, "workers: expected a whole number from 1 to 1,024; got 0"),
        ({"flags": ["model.top_k"]}, "--set model.top_k: expected KEY=VALUE"),
        ({"flags": ["model.topk=3"]}, "--set.model.topk: unknown key; did you mean model.top_k?"),
    ],
)
def test_one_fault_one_line(values, line):
    (found,) = faults(values)
    assert found.startswith(line)
    assert "\n" not in found


def test_all_faults_at_once():
    found = faults({"budget": 0, "seeds": "x", "twins": ["a"], "held_out": "b", "settings": {"c": 1}})
    assert [line.split(":")[0] for line in found] == ["budget", "held_out", "seeds", "settings.c", "twins"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("data: bluemarble\ndata: fmow\n", "key 'data' is given twice"),
        ("a: &a [1]\nb: *a\n", r"aliases \(\*a\) are not read"),
        ("data: [", "not valid YAML"),
        ("- data\n", "expected keys with values"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_spec(tmp_path, text, line):
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=line):
        read_spec(file)


def test_text_stays_text():
    assert spec_of({**LEAST, "data": "folder", "held_out": "#12"}).held_out == ("#12",)
    (setting,) = spec_of({**LEAST, "flags": ["data.root=#12=3"]}).settings
    assert (setting.key, setting.value, setting.text) == ("data.root", "#12=3", True)
