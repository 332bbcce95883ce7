"""Defaults < environment < file < flags; all faults of all of them together."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from geomoe.catalogue import CATALOGUE, METHODS, OPTIONAL_KEYS
from geomoe.config import RunConfig
from geomoe.config.keys import Setting, argument_docs, keys, method_keys, variable_of
from geomoe.config.load import from_dict, load, read_config
from geomoe.config.shipped import shipped
from geomoe.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    def write(text, name="own.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def flag(key, value):
    return Setting(key, value, f"--{key}")


def faults_of(**arguments):
    with pytest.raises(ConfigError) as caught:
        load(**{"environment": {}, **arguments})
    return str(caught.value)


@pytest.mark.parametrize("name", shipped())
def test_shipped_files_list_every_key_of_their_data_set_and_are_valid(name):
    given = yaml.safe_load(shipped()[name].read_text(encoding="utf-8"))

    def names(mapping, section=""):
        for key, value in mapping.items():
            yield from names(value, f"{section}{key}.") if isinstance(value, dict) else [f"{section}{key}"]

    foreign = set(OPTIONAL_KEYS) - set(CATALOGUE[given["data"]["name"]].keys)
    methods = [section for section in given if section in METHODS]
    other = {key for method in methods if method != "moge" for key in names(given.pop(method), f"{method}.")}
    assert other <= {key for method in methods for key in method_keys(method)}
    assert sorted(names(given)) == sorted(
        {*keys(), *method_keys("moge")} - {f"data.{key}" for key in foreign}
    )
    found = load(name, environment={}).as_dict()
    found["data"] = {key: value for key, value in found["data"].items() if key not in foreign}
    assert found == {key: value for key, value in given.items() if key in found}
    assert (
        "moge" in methods
    )  # with every option; of other methods a configuration has what differs from theirs


OPTIONS = [
    ({"algorithm": "groupdro", "groupdro.eta": "0.5"}, {"groupdro": {"eta": 0.5, "q": "before"}}),
    ({"algorithm": "groupdro", "method.eta": "0.5"}, {"groupdro": {"eta": 0.5, "q": "before"}}),
    ({"algorithm": "erm"}, {"erm": {}}),
    ({"algorithm": "fish", "around": "swad", "swad.ratio": "0.2"}, {"fish": {"meta_lr": 0.5}, "swad": 0.2}),
]


@pytest.mark.parametrize(("given", "options"), OPTIONS)
def test_options_of_the_methods_in_use_are_complete(given, options):
    found = load(environment={}, flags=[flag(key, value) for key, value in given.items()]).options
    assert list(found) == list(options)
    assert {**found, "swad": found.get("swad", {}).get("ratio")} == {"swad": None, **options}


def test_a_file_serves_several_methods(file):
    own = file("moge: {aux: 0.5}\ngroupdro: {eta: 0.3}\n")
    assert load(file=own, environment={}).options["moge"]["aux"] == 0.5
    found = load(file=own, environment={}, flags=[flag("algorithm", "groupdro")])
    assert found.options == {"groupdro": {"eta": 0.3, "q": "before"}}
    assert load(file=own, environment={}, flags=[flag("algorithm", "erm")]).options == {"erm": {}}


def test_the_section_method_is_that_of_the_algorithm(file):
    own = file("algorithm: groupdro\nmethod: {eta: 0.3}\n")
    assert load(file=own, environment={}).options["groupdro"]["eta"] == 0.3
    assert "method.eta: moge has no option 'eta'" in faults_of(file=own, flags=[flag("algorithm", "moge")])
    assert load(file=own, environment={"GEOMOE_METHOD__ETA": "1", "GEOMOE_GROUPDRO__Q": "after"}).options[
        "groupdro"
    ] == {"eta": 0.3, "q": "after"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algorithm": "erm", "moge.aux": "1"}, "moge.aux: this run trains erm; leave it out, or give"),
        ({"swad.ratio": "1"}, "swad.ratio: this run trains moge; leave it out, add swad to around"),
        (
            {"method.eta": "1"},
            "method.eta: moge has no option 'eta'; eta is an option of groupdro, pg_dro (known: aux",
        ),
        ({"moge.auxx": "1"}, "moge.auxx: moge has no option 'auxx'; did you mean aux?"),
        ({"moge.aux": "-1"}, "moge.aux: must be at least 0; got -1.0"),
        ({"moge.aux": "much"}, "moge.aux: expected a number; got 'much'"),
        ({"moge.cka_estimator": "unbiasd"}, "moge.cka_estimator: expected one of unbiased, biased; got 'unb"),
        ({"moge.cka_tokens": "1.5"}, "moge.cka_tokens: expected a whole number; got '1.5'"),
        ({"around": "swda"}, "around: no method that wraps another 'swda'; did you mean swad?"),
        ({"around": "swad,swad"}, "around: each method at most once; got ['swad', 'swad']"),
        ({"algorithm": "swad"}, "algorithm: no algorithm 'swad'"),
    ],
)
def test_options_that_are_refused(given, message):
    text = faults_of(flags=[flag(key, value) for key, value in given.items()])
    assert text.startswith(message)
    assert "\n" not in text


def test_options_of_moge_in_the_old_section_are_read_with_a_note(file, caplog):
    own = file("loss: {label_smoothing: 0.1, aux: 0.5, cka_tokens: 4}\n")
    config = load(file=own, environment={})
    assert config.loss.label_smoothing == 0.1
    assert (config.options["moge"]["aux"], config.options["moge"]["cka_tokens"]) == (0.5, 4)
    (note,) = caplog.messages
    told = "loss.aux, loss.cka_tokens: options of a method now have a section of its name"
    assert note == f"{own}: {told}; read as moge.aux, moge.cka_tokens"
    caplog.clear()
    assert load(file=own, environment={}, flags=[flag("algorithm", "erm")]).options == {"erm": {}}
    assert caplog.messages == [
        f"{own}: {told}; erm has no option aux, cka_tokens, so nothing is changed by it"
    ]
    assert "did you mean loss.label_smoothing?" in faults_of(flags=[flag("loss.label_smothing", "1")])


@pytest.mark.parametrize(
    "text", ["#12", "#data", "a: b", "- x", "[1", "{", "!tag", "*a", "yes", "1e3", "~", ""]
)
def test_text_stays_text(text, file):
    for source in ({"flags": [flag("data.root", text)]}, {"environment": {"GEOMOE_DATA__ROOT": text}}):
        config = load(**{"environment": {}, **source})
        assert config.data.root == text
        assert read_config(config.as_dict()) == config
        assert load(file=file(yaml.safe_dump(config.as_dict())), environment={}) == config


def test_only_null_is_none(file):
    assert load(environment={}, flags=[flag("data.root", "null")]).data.root is None
    assert load(environment={}, file=file("data: {root: null}")).data.root is None
    assert load(environment={}, file=file("data: {root: 'null'}")).data.root == "null"
    for quoted in ('"null"', "'null'"):
        assert load(environment={}, flags=[flag("data.root", quoted)]).data.root == "null"
        assert load(environment={"GEOMOE_DATA__ROOT": quoted}).data.root == "null"
        with pytest.raises(ConfigError, match="budget"):
            load(environment={}, flags=[flag("data.budget", quoted)])


@pytest.mark.parametrize("name", shipped())
def test_shipped_files_begin_with_what_they_are_and_how_to_use_them(name):
    first, second = shipped()[name].read_text(encoding="utf-8").splitlines()[:2]
    assert first.startswith("# ")
    assert second.startswith(f"# geomoe train {name} ")


def test_the_two_protocol_configurations_are_there():
    assert {"bluemarble", "bluemarble-vit-tiny"} <= set(shipped())


def test_precedence(file):
    own = file("seed: 2\ndata: {batch_size: 32}\ntrainer: {max_epochs: 5}\n")
    environment = {"GEOMOE_SEED": "1", "GEOMOE_OPTIMIZER__LR": "3e-4", "GEOMOE_TRAINER__MAX_EPOCHS": "9"}
    assert load(environment={}).seed == RunConfig().seed == 0
    assert load(environment=environment).seed == 1
    assert load(file=own, environment=environment).seed == 2
    config = load(file=own, environment=environment, flags=[flag("seed", "3")])
    assert (config.seed, config.data.batch_size, config.trainer.max_epochs) == (3, 32, 5)
    assert config.optimizer.lr == 3e-4


def test_an_own_file_lies_over_the_shipped_one(file):
    shipped_config = load("bluemarble", environment={})
    config = load("bluemarble", file("model: {top_k: 2}\n"), environment={})
    assert config.model.top_k == 2
    assert (
        config.model.expert_dropout == shipped_config.model.expert_dropout != RunConfig().model.expert_dropout
    )


def test_the_environment_loses_to_a_complete_file():
    assert load("bluemarble", environment={"GEOMOE_SEED": "7"}).seed == 0


def test_a_variable_that_does_nothing_is_said(caplog):
    load("bluemarble", environment={"GEOMOE_DATA__HELD_OUT": "#12"})
    assert "GEOMOE_DATA__HELD_OUT in the environment does nothing: " in caplog.text
    assert "bluemarble.yaml has data.held_out; give --data.held_out '#12'" in caplog.text
    caplog.clear()
    load(environment={"GEOMOE_SEED": "8"})
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("model.num_experts", "8", 8),
        ("optimizer.lr", "1e-3", 1e-3),
        ("optimizer.lr", 1, 1.0),
        ("model.moge_blocks", "[0,1]", (0, 1)),
        ("model.moge_blocks", "0,1", (0, 1)),
        ("model.moge_blocks", "1", (1,)),
        ("trainer.loggers", "csv", ("csv",)),
        ("trainer.devices", "auto", "auto"),
        ("trainer.devices", "2", 2),
        ("model.learn_gamma", "true", True),
        ("model.learn_gamma", False, False),
        ("data.held_out", "null", None),
        ("data.root", "a: b", "a: b"),
        ("run_name", "5", "5"),
    ],
)
def test_values_take_the_type_of_their_key(key, text, value):
    config = load(environment={}, flags=[flag(key, text)])
    for part in key.split("."):
        config = getattr(config, part)
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.num_experts", "many", "model.num_experts: expected a whole number; got 'many'"),
        ("model.num_experts", 8.5, "model.num_experts: expected a whole number; got 8.5"),
        ("model.num_experts", True, "model.num_experts: expected a whole number; got True"),
        ("model.num_experts", None, "model.num_experts: expected a whole number; got None"),
        ("model.num_experts", [1], r"model.num_experts: expected a whole number; got \[1\]"),
        ("model.num_experts", {"a": 1}, "model.num_experts: expected a whole number; got {'a': 1}"),
        ("optimizer.lr", math.inf, "optimizer.lr: expected a number; got inf"),
        ("optimizer.lr", "fast", "optimizer.lr: expected a number; got 'fast'"),
        ("model.learn_gamma", "maybe", "model.learn_gamma: expected true or false; got 'maybe'"),
        ("model.moge_blocks", "a,b", "model.moge_blocks: expected a list of whole numbers; got 'a,b'"),
        (
            "model.router",
            "cosin",
            r"model.router: expected one of cosine, linear; got 'cosin'.*did you mean cosine\?",
        ),
        ("data.root", 5, "data.root: expected text or null; got 5"),
        ("trainer.devices", 1.5, "trainer.devices: expected a whole number or text; got 1.5"),
    ],
)
def test_wrong_types(key, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(environment={}, flags=[flag(key, value)])
    assert "\n" not in str(caught.value)
    assert f"(--{key})" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("model.num_expert", "model.num_experts"),
        ("modle.top_k", "model.top_k"),
        ("num_experts", "model.num_experts"),
        ("max_epochs", "trainer.max_epochs"),
        ("Seed", "seed"),
    ],
)
def test_unknown_keys_name_the_nearest(key, suggestion):
    assert f"; did you mean {suggestion}?" in faults_of(flags=[flag(key, "1")])


def test_all_faults_of_all_sources_together(file):
    own = file("model: {num_expert: 8, gamma: 2}\nsede: 1\n")
    text = faults_of(
        name="bluemarbel",
        file=own,
        environment={"GEOMOE_TRAINER__MAX_EPOCH": "3", "GEOMOE_SEED": "one"},
        flags=[flag("model.top_k", "99"), flag("data.held_out", "asia")],
        faults=["--foo: unknown key"],
    )
    first, *rest = text.splitlines()
    assert first == "9 faults in the configuration:"
    starts = {line.split(":")[0].strip() for line in rest}
    assert starts == {
        "--foo",
        "GEOMOE_TRAINER__MAX_EPOCH",
        "NAME",
        "seed",
        "model.num_expert",
        "model.gamma",
        "sede",
        "model.top_k",
        "data.held_out",
    }
    assert "did you mean GEOMOE_TRAINER__MAX_EPOCHS?" in text
    assert f"({own})" in text


def test_a_key_of_a_wrong_type_is_not_judged_by_its_default():
    text = faults_of(flags=[flag("model.num_experts", "many"), flag("data.held_out", "asia")])
    assert len(text.splitlines()) == 3


def test_variables_that_are_not_keys():
    reserved = {"GEOMOE_CACHE": "/x", "GEOMOE_OFFLINE": "1", "OTHER_SEED": "5"}
    assert load(environment=reserved) == RunConfig()
    assert "did you mean GEOMOE_CACHE?" in faults_of(environment={"GEOMOE_CACH": "/x"})
    assert variable_of("trainer.max_epochs") == "GEOMOE_TRAINER__MAX_EPOCHS"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"configuration: expected keys with values; got a list of 2"),
        ("data: 3", "data: expected keys with values; got 3"),
        ("data:", "data: expected keys with values; got null"),
        ("seed: 1\nseed: 2\n", r"not valid YAML: key 'seed' is given twice \(line 2, column 1\)"),
        (
            "data.held_out: Asia\ndata: {held_out: Africa}",
            r"^data.held_out: is given twice, in its section and with a dot \(",
        ),
        ("seed: 1:30", "seed: expected a whole number; got '1:30'"),
        ("seed: [1\n", "not valid YAML: .*line 2"),
        (
            "seed: !!python/object/apply:os.system ['true']",
            "not valid YAML: could not determine a constructor",
        ),
        ("seed: {a: 1}", "seed: expected a whole number; got {'a': 1}"),
        ("{[1]: 2}", "not valid YAML: a key must be a name"),
    ],
)
def test_files_that_are_refused(file, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(file=file(text), environment={})
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    assert "no.yaml: cannot be read as a configuration: No such file" in faults_of(file=tmp_path / "no.yaml")
    assert "Is a directory" in faults_of(file=tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a text file" in faults_of(file=tmp_path / "binary.yaml")


def test_an_empty_file_changes_nothing(file):
    assert load(file=file("# nothing\n"), environment={}) == RunConfig()


def test_a_path_given_as_name_gets_the_right_advice(file, monkeypatch):
    path = file("seed: 1")
    assert f"--config {path}" in faults_of(name=str(path))


def test_dotted_keys_in_a_file(file):
    assert load(file=file("model.top_k: 2\n"), environment={}).model.top_k == 2


def test_from_dict_checks_unless_told_not_to():
    values = {"model": {"top_k": 7}}
    assert from_dict(values, check=False).model.top_k == 7
    with pytest.raises(ConfigError, match=r"model\.top_k"):
        from_dict(values)


def test_docs_of_arguments_may_span_lines():
    class Example:
        """One.

        Args:
            first: of many
                words.
            second: short.
        """

    assert argument_docs(Example) == {"first": "of many words.", "second": "short."}


def test_values_of_a_program_may_be_paths_and_numbers_of_numpy():
    values = {"data.root": Path("x"), "seed": np.int64(3), "model": {"moge_blocks": np.array([2])}}
    config = load(values=values, environment={})
    assert (config.data.root, config.seed, config.model.moge_blocks) == ("x", 3, (2,))
    with pytest.raises(ConfigError, match="NAME: no configuration '5'"):
        load(5, environment={})
