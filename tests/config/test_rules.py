"""Each range, name and combination is refused in one line; names mirror the tables of their rooms."""

from __future__ import annotations

import dataclasses

import pytest

from geomoe.catalogue import CATALOGUE, OPTIONAL_KEYS
from geomoe.config import DataConfig, RunConfig
from geomoe.config import rules as config_checks
from geomoe.config.rules import find_faults
from geomoe.support.words import nearest, unknown


def changed(**values):
    """A configuration with some keys (dots written as __) set to other values."""
    config = RunConfig()
    for name, value in values.items():
        section, _, key = name.rpartition("__")
        if section:
            part = dataclasses.replace(getattr(config, section), **{key: value})
            config = dataclasses.replace(config, **{section: part})
        else:
            config = dataclasses.replace(config, **{key: value})
    return config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed: must be at least 0 and at most 4,294,967,295; got -1"),
        ({"run_name": "a/b"}, "run_name: must be the name of one folder, such as a-b-c14cddc0; got 'a/b'"),
        ({"run_name": ".."}, "run_name: must be the name of one folder, such as name-5ec1f7e7; got '..'"),
        ({"data__name": "bluemarbel"}, "data.name: no data set 'bluemarbel'; did you mean bluemarble?"),
        ({"data__held_out": "asia"}, "data.held_out: no region 'asia'; did you mean Asia?"),
        ({"data__held_out": "Atlantis"}, "data.held_out: no region 'Atlantis' (known: Africa, "),
        ({"data__batch_size": 0}, "data.batch_size: must be at least 1 and at most 1,000,000; got 0"),
        ({"data__num_workers": -2}, "data.num_workers: must be at least 0 and at most 1,024; got -2"),
        ({"model__top_k": 7}, "model.top_k: a sample uses 7 experts and model.num_experts is 6"),
        ({"model__gamma": 1.01}, "model.gamma: must be at least 0 and at most 1; got 1.01"),
        ({"model__gamma": float("nan")}, "model.gamma: must be at least 0 and at most 1; got nan"),
        ({"model__expert_dropout": 1.0}, "model.expert_dropout: must be at least 0 and below 1; got 1.0"),
        ({"model__patch_size": 0}, "model.patch_size: must be at least 1 and at most 8,192; got 0"),
        ({"model__patch_size": 5}, "model.patch_size: 5 does not divide model.image_size 32"),
        ({"model__moge_blocks": ()}, "model.moge_blocks: algorithm moge needs at least one block; got none"),
        ({"model__moge_blocks": (2, 2)}, "model.moge_blocks: must be different block numbers from 0"),
        ({"model__moge_blocks": (-1,)}, "model.moge_blocks: must be different block numbers from 0"),
        (
            {"model__weights": "timm", "model__init_from": "a.ckpt"},
            "model.weights, model.init_from: give one",
        ),
        ({"encoder__name": "satclp"}, "encoder.name: no encoder 'satclp'; did you mean satclip?"),
        ({"encoder__name": "satclip"}, "encoder.weights: satclip needs its weights"),
        (
            {"encoder__weights": "a.ckpt"},
            "encoder.weights: sh reads no weights, only satclip does; got 'a.ckpt'",
        ),
        ({"encoder__capsules": (3,)}, "encoder.capsules: must be at least 0 and at most 2; got 3"),
        (
            {"options": {"moge": {"supcon_temperature": 0.0}}},
            "moge.supcon_temperature: must be above 0; got 0",
        ),
        ({"algorithm": "mog"}, "algorithm: no algorithm 'mog'; did you mean moge? (known: erm, "),
        ({"optimizer__warmup": 2.0}, "optimizer.warmup: must be at least 0 and at most 1; got 2.0"),
        ({"trainer__devices": 0}, "trainer.devices: must be a number of devices, -1 (all) or auto; got 0"),
        ({"trainer__precision": "32"}, "trainer.precision: no precision '32'"),
        (
            {"trainer__precision": "64-true"},
            "trainer.precision: no precision '64-true'; did you mean 32-true?",
        ),
        ({"trainer__loggers": ("csv", "wanb")}, "trainer.loggers: no logger 'wanb'; did you mean wandb?"),
        (
            {"algorithm": "dann", "around": ("sagm",)},
            "around: sagm needs a method whose update is one step along the gradient of its losses; dann has",
        ),
        (
            {"algorithm": "erm", "around": ("swad", "sagm")},
            "around: sagm goes inside swad, not around it; name swad last",
        ),
        (
            {"algorithm": "vrex", "data__train_domains": ("Asia",)},
            "algorithm: vrex compares domains and needs 2 to train on; data.train_domains leaves 1; use",
        ),
        (
            {"algorithm": "vrex", "data__name": "rcmnist", "data__num_domains": 1},
            "algorithm: vrex compares domains and needs 2 to train on; data.num_domains leaves 1; use",
        ),
    ],
)
def test_one_fault_one_line(values, message):
    (fault,) = find_faults(changed(**values))
    assert fault.startswith(message)
    assert "\n" not in fault


@pytest.mark.parametrize(
    "values",
    [
        {"data__held_out": "Asia"},
        {"model__top_k": 6},
        {"model__gamma": 0.0},
        {"model__gamma": 1.0},
        {"model__moge_blocks": (), "algorithm": "erm"},
        {"trainer__devices": -1},
        {"algorithm": "dann", "around": ("swad",)},
        {"algorithm": "vrex", "around": ("sagm", "swad"), "data__train_domains": ("Asia", "Africa")},
        {"algorithm": "erm", "data__train_domains": ("Asia",)},
        {"encoder__name": "satclip", "encoder__weights": "file.ckpt"},
    ],
)
def test_the_edges_of_what_is_allowed(values):
    assert find_faults(changed(**values)) == []


def test_nearest_ignores_case_and_stays_silent_when_nothing_is_near():
    assert nearest("EUROPE", ["Asia", "Europe"]) == "; did you mean Europe?"
    assert nearest("zzz", ["Asia", "Europe"]) == ""
    assert unknown("k", "thing", "zzz", ["a", "b"]) == "k: no thing 'zzz' (known: a, b)"


def test_names_mirror_the_tables():
    from geomoe.datasets import BlueMarble
    from geomoe.encoders import ENCODERS

    assert set(config_checks.ENCODER_NAMES) == set(ENCODERS)
    assert set(CATALOGUE["bluemarble"].domains) == set(BlueMarble.regions)


def test_every_data_set_of_the_catalogue_has_a_data_module_of_that_name():
    from geomoe.datasets import DATASETS

    for name in CATALOGUE:
        assert DATASETS[name].name == name
        assert set(CATALOGUE[name].keys) <= set(OPTIONAL_KEYS)


def test_a_key_of_another_data_set_is_refused():
    config = RunConfig(data=DataConfig(name="bluemarble", budget=2, bands=(1,)))
    faults = find_faults(config)
    assert [fault.split(":")[0] for fault in faults] == ["data.bands", "data.budget"]
    assert "bluemarble has no such key" in faults[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"groups_per_batch": 5}, "data.batch_size: 128 is no multiple of data.groups_per_batch 5; every"),
        ({"batches_per_epoch": 9}, "data.batches_per_epoch: 9 without data.groups_per_batch; an epoch that"),
        ({"groups_per_batch": -1}, "data.groups_per_batch: must be at least 0 and at most 1,000,000; got -1"),
    ],
)
def test_grouped_batches_that_cannot_be(values, message):
    faults = find_faults(RunConfig(data=DataConfig(**values)))
    assert [fault for fault in faults if fault.startswith(message)]
    assert not find_faults(RunConfig(data=DataConfig()))


@pytest.mark.parametrize("algorithm", ["moge", "dcp_le", "d3g", "d3g_wrap"])
def test_what_may_stand_for_places(algorithm):
    """Data without places: an encoder of domain ids can replace an encoder, but not relations of places."""
    asked = f"algorithm: {algorithm} asks where an image was taken, and pacs has no places; use erm"
    related = algorithm.startswith("d3g")
    (fault,) = find_faults(changed(data__name="pacs", algorithm=algorithm))
    assert fault == asked + ("" if related else ", or encoder.name domain")
    faults = find_faults(changed(data__name="pacs", algorithm=algorithm, encoder__name="domain"))
    assert list(faults) == ([asked] if related else [])
