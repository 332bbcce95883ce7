"""Which encoder fits an extent, and what is said of one that does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from geomoe.config import EncoderConfig, RunConfig
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.reach import (
    degrees_for,
    encoder_text,
    fit_encoder,
    fits,
    is_open,
    keep_choice,
    km_text,
    reach_doubt,
    reach_text,
)
from geomoe.errors import ConfigError

OPEN = EncoderConfig("auto", legendre_polys=None)
WORLD = 20_015.0


def settled(extent, **changes):
    found = fit_encoder(replace(OPEN, **changes), extent)
    return found.name, found.legendre_polys, found.finest_km


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (None, ("sh", 10, None)),  # no place is known
        (0.0, ("sh", 10, None)),  # one place
        (WORLD, ("sh", 10, None)),  # as before there was a choice
        (9000.0, ("sh", 10, None)),
        (8800.0, ("sh", 11, None)),
        (4000.0, ("sh", 22, None)),
        (2060.0, ("sh", 40, None)),
        (2050.0, ("fourier", 10, 256.0)),
        (800.0, ("fourier", 10, 100.0)),
        (100.0, ("fourier", 10, 12.5)),
        (0.2, ("fourier", 10, 0.025)),  # a field
        (0.05, ("fourier", 10, 0.01)),
    ],
)
def test_auto_follows_the_extent(extent, expected):
    assert settled(extent) == expected
    name, polys, finest = expected
    if extent:
        assert fits(WORLD / (polys - 1) if name == "sh" else finest, extent)


def test_what_is_given_is_kept():
    assert settled(800.0, legendre_polys=20) == ("sh", 20, None)
    assert settled(WORLD, finest_km=50.0) == ("fourier", 10, 50.0)
    assert settled(800.0, name="sh") == ("sh", 40, None)
    assert settled(4000.0, name="sh-siren") == ("sh-siren", 22, None)
    assert settled(4000.0, name="wrap") == ("wrap", 10, None)
    given = EncoderConfig("fourier", finest_km=70.0)
    assert fit_encoder(given, 800.0) == given
    assert not is_open(RunConfig())
    assert is_open(RunConfig(encoder=OPEN))


@pytest.mark.parametrize("extent", [0.5, 3.0, 41.0, 800.0, 2053.3, 6000.0, WORLD])
def test_degrees_are_the_fewest_that_fit(extent):
    polys = degrees_for(extent)
    assert 4 * math.pi * 6371.0088 / (polys - 1) <= extent * (1 + 1e-6)
    assert polys == 2 or 4 * math.pi * 6371.0088 / (polys - 2) > extent


def test_doubts_name_a_setting_that_fits():
    doubt = reach_doubt(EncoderConfig("sh"), 2223.9, 800.0)
    assert doubt == (
        "the training places are 800 km across; the encoder (sh, L = 10) tells apart what is 2,224 km apart, "
        "so that it hardly tells them apart; a quarter of the extent or less fits: "
        "--encoder.name fourier --encoder.finest_km 100"
    )
    assert reach_doubt(EncoderConfig("sh"), 2223.9, 5000.0).endswith(
        "--encoder.name sh --encoder.legendre_polys 18"
    )
    assert reach_doubt(EncoderConfig("sh", legendre_polys=18), WORLD / 17, 5000.0) == ""
    assert reach_doubt(EncoderConfig("fourier", finest_km=200.0), 200.0, 800.0) == ""
    assert reach_doubt(EncoderConfig("fourier", finest_km=201.0), 201.0, 800.0)
    assert reach_doubt(EncoderConfig("geoclip"), None, 800.0) == ""
    assert reach_doubt(EncoderConfig("sh"), 2223.9, 0.0) == ""


@pytest.mark.parametrize("extent", [0.039, 0.041, 0.3, 2.0, 100.0, 2050.0, 6000.0])
def test_no_doubt_names_the_setting_that_it_doubts(extent):
    chosen = fit_encoder(OPEN, extent)
    km = WORLD / (chosen.legendre_polys - 1) if chosen.name == "sh" else chosen.finest_km
    doubt = reach_doubt(chosen, km, extent)
    assert "--encoder" not in doubt
    assert bool(doubt) == (extent < 0.04)
    assert not doubt or doubt.endswith("no encoder tells apart what is less than 0.01 km apart")


def test_the_setting_that_is_named_is_one_that_the_verb_has():
    words = reach_doubt(EncoderConfig("wrap"), WORLD, 300.0).split(": ")[-1].split()
    flags = [
        Setting(flag.removeprefix("--"), value, flag)
        for flag, value in zip(words[::2], words[1::2], strict=True)
    ]
    config = load("folder", flags=flags, environment={})
    assert (config.encoder.name, config.encoder.finest_km) == ("fourier", 37.5)
    assert not is_open(config)


def test_kilometres_below_one_are_not_zero():
    assert [km_text(km) for km in (0.01, 0.277, 2.2, 13.6, 2223.9)] == [
        "0.01 km", "0.28 km", "2.2 km", "14 km", "2,224 km",
    ]  # fmt: skip
    assert km_text(math.inf) == "half the Earth"


def test_texts():
    assert encoder_text(EncoderConfig("geoclip", capsules=(0, 2))) == "geoclip, capsules 0, 2"
    assert encoder_text(EncoderConfig("wrap")) == "wrap"
    assert reach_text(EncoderConfig("fourier", finest_km=2.5), 2.5, 20.0) == (
        "the training places are 20 km across; the encoder (fourier, finest 2.5 km) tells apart what is "
        "2.5 km apart"
    )
    assert reach_text(EncoderConfig("fourier", finest_km=0.025), 0.025, 0.2) == (
        "the training places are 0.2 km across; the encoder (fourier, finest 0.025 km) tells apart what is "
        "0.025 km apart"
    )
    assert reach_text(EncoderConfig("sh"), 2223.9, 0.0) == (
        "the training places are one place; the encoder (sh, L = 10) has nothing to tell apart"
    )
    assert "not known here" in reach_text(EncoderConfig("satclip"), None, 20.0)
    assert "half the Earth" in reach_text(EncoderConfig("sh", legendre_polys=1), math.inf, 20.0)


def test_a_resumed_run_keeps_its_choice():
    run = RunConfig(encoder=EncoderConfig("fourier", finest_km=99.0))
    assert keep_choice(RunConfig(encoder=OPEN), run).encoder == run.encoder
    old = RunConfig(encoder=EncoderConfig("sh", legendre_polys=10))
    assert keep_choice(RunConfig(encoder=OPEN), old).encoder == old.encoder
    other = replace(OPEN, legendre_polys=20)
    assert keep_choice(RunConfig(encoder=other), old).encoder.legendre_polys == 20  # then it is refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"encoder.name": "sh", "encoder.finest_km": "50"},
            "finest_km: only fourier has it, not sh; got 50",
        ),
        (
            {"encoder.finest_km": "50", "encoder.legendre_polys": "20"},
            "auto takes sh for the one and fourier for the other",
        ),
        ({"encoder.finest_km": "0"}, "encoder.finest_km: must be at least 0.01"),
        ({"encoder.name": "autoo"}, "encoder.name: .*mean auto"),
    ],
)
def test_refusals(values, message):
    flags = [Setting(key, value, f"--{key}") for key, value in values.items()]
    with pytest.raises(ConfigError, match=message):
        load("folder", flags=flags, environment={})


def test_data_of_the_world_keep_what_they_have():
    for name in ("bluemarble", "fmow", "iwildcam"):
        config = load(name, environment={})
        assert not is_open(config)
    assert is_open(load("folder", environment={}))
