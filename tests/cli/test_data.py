"""``geomoe data``: facts, checks, caches and samples through the command line, and what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomoe.catalogue import CATALOGUE
from geomoe.cli import main
from geomoe.config.load import data_set_of
from geomoe.config.shipped import shipped
from geomoe.datasets.cache import make as make_cache
from geomoe.datasets.samples import mnist
from geomoe.fetching.facts import read_facts
from tests.kinds import first_of_each, reader_of
from tests.samples import write_sample

SAMPLED = [name for name in CATALOGUE if read_facts(name).sample]
MORE = {"folder": ("--metadata", "points.csv"), "rcmnist": ("--data.budget", "85")}


def ask(capsys, *argv, status=0):
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main(["data", *map(str, argv), "--json", "--quiet"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def digits(tmp_path):
    mnist.write(tmp_path / "digits")
    return tmp_path / "digits"


def test_info_lists_the_data_sets(capsys):
    listed = ask(capsys, "info")
    assert list(listed) == list(dict.fromkeys([*CATALOGUE, *shipped()]))
    assert listed["rcmnist-10k"].startswith("Rotated-Colored MNIST with 10,000 digits")


@pytest.mark.parametrize("name", CATALOGUE)
def test_info_says_what_is_known(capsys, name):
    told = ask(capsys, "info", name)
    assert told["licence"] == read_facts(name).licence
    assert told["found"] is None
    assert main(["data", "info", name]) == 0
    text = capsys.readouterr().out
    assert all(source.url in text for source in read_facts(name).sources)
    assert max(map(len, text.splitlines())) <= 130


def test_info_looks_where_it_is_told(capsys, digits, tmp_path):
    found = ask(capsys, "info", "rcmnist-10k", "--data-root", digits)
    assert (found["found"], found["missing"]) == (True, [])
    assert found["folder"] == str(digits / "MNIST" / "raw")
    assert main(["data", "info", "rcmnist-10k", "--data-root", str(digits)]) == 0
    told = capsys.readouterr().out
    assert "setting   rcmnist-10k: Rotated-Colored MNIST with 10,000 digits" in told
    assert f"geomoe data check rcmnist-10k --data-root {digits} looks it over" in told
    for root, answer in (
        (digits, "is there; geomoe data check folder"),
        (digits / "no", "there is no folder"),
    ):
        assert main(["data", "info", "folder", "--data-root", str(root)]) == 0
        assert answer in capsys.readouterr().out
    missing = ask(capsys, "info", "rcmnist", "--data-root", tmp_path)
    assert missing["found"] is False
    assert len(missing["missing"]) == 4
    assert main(["data", "info", "rcmnist", "--data-root", str(tmp_path)]) == 0
    assert "lacks train-images-idx3-ubyte or train-images-idx3-ubyte.gz" in capsys.readouterr().out


def test_check_of_digits(capsys, digits, tmp_path):
    argv = ["check", "rcmnist-10k", "--data-root", digits, "--data.budget", "96"]
    told = ask(capsys, *argv, "--output", "check")
    assert told["sound"] is True
    assert told["splits"]["train"]["samples"] == 17 * 5
    assert told["splits"]["test"]["samples"] == 200
    assert json.loads((tmp_path / "check" / "check.json").read_text()) == {
        key: value for key, value in told.items() if key != "files"
    }
    assert not (tmp_path / "check" / "check.png").exists()  # digits have no places
    assert main(["data", *map(str, argv), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "train, test" in text
    assert text.splitlines()[-1] == "sound"


@pytest.mark.slow
def test_check_draws_the_map(capsys, tmp_path):
    told = ask(capsys, "check", "bluemarble", "--output", "check", "--held-out", "Asia")
    assert set(told["splits"]) == {"train", "val", "test", "held_out"}
    assert told["findings"] == []
    assert "Where the splits are" in (tmp_path / "check" / "check.html").read_text(encoding="utf-8")
    with Image.open(tmp_path / "check" / "check.png") as picture:
        assert picture.size[0] > 1000


@pytest.mark.slow
def test_check_holds_country_codes_against_outlines(capsys, tmp_path):
    """FMoW's sample has two places far from the country of their code, and two samples without a code."""
    ask(capsys, "sample", "fmow", "small")
    argv = ["check", "fmow", "--data-root", "small", "--images", "0"]
    told = ask(capsys, *argv, "--output", "check")
    found = told["countries"]
    assert list(found) == ["train", "val", "test", "id_val", "id_test"]
    assert [found[name]["outside"] for name in found] == [1, 0, 1, 0, 0]
    assert all(
        found[name]["judged"] + found[name]["not_judged"].get("", 0) == told["splits"][name]["known_places"]
        for name in found
    )
    (wrong,) = found["test"]["furthest"]
    assert (wrong["code"], wrong["lon"], wrong["lat"]) == ("AUS", 148, 33)
    assert 4500 < wrong["km"] < 5000  # to Cape York
    assert json.loads((tmp_path / "check" / "check.json").read_text())["countries"] == found
    assert main(["data", *argv, "--quiet"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "> 25 km outside" in text
    assert f"test 30 1 {found['test']['max_km']:,.0f}" in text
    assert "not judged, as no outline is known: no code 2" in text
    assert f"row {wrong['row']} says AUS and is at lon 148.000, lat 33.000" in text
    square = [[147, 32], [149, 32], [149, 34], [147, 34], [147, 32]]
    shape = {"type": "Feature", "properties": {"iso_a3": "AUS"}}
    shape["geometry"] = {"type": "Polygon", "coordinates": [square]}
    outlines = {"type": "FeatureCollection", "features": [shape]}
    (tmp_path / "sea.geojson").write_text(json.dumps(outlines))
    told = ask(capsys, *argv, "--countries", "sea.geojson")
    assert told["countries"]["test"]["furthest"][-1]["km"] > 6000  # Australia is elsewhere now
    assert (148, 33) not in {(one["lon"], one["lat"]) for one in told["countries"]["test"]["furthest"]}
    assert set(told["countries"]["train"]["not_judged"]) > {"", "BRA", "CHN"}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(first_of_each(SAMPLED, reader_of)))
def test_every_sample_is_written_whole_and_never_over_anything(capsys, tmp_path, name, refused):
    told = ask(capsys, "sample", name, "small")
    assert told["files"] == sum(path.is_file() for path in (tmp_path / "small").rglob("*")) > 0
    assert "small: is there and not empty" in refused("data", "sample", name, "small")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*first_of_each(SAMPLED, reader_of), "iwildcam-cameras"])
def test_every_sample_can_be_tried_as_it_says(capsys, tmp_path, name):
    """The command that is printed trains, without a network; a check goes under the same name."""
    command = shlex.split(ask(capsys, "sample", name, "small")["command"])
    assert command[:3] == ["geomoe", "train", name]
    assert main([*command[1:], "--dry-run", "--quiet", "--output", "runs"]) == 0
    assert "test_acc" in capsys.readouterr().out
    if name not in SAMPLED:  # those are checked with all their images
        assert ask(capsys, "check", name, "--data-root", "small", "--images", "0")["sound"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("fmow", (), ["id_test", "id_val", "test", "train", "val"]),
        ("fmow", ("--held-out", "Asia"), ["id_test", "test"]),
        ("fmow", ("--data.protocol", "time_after_2014"), []),
        ("fmow-lao", (), ["id_test", "test"]),
        ("iwildcam", (), ["id_test", "id_val", "test", "train", "val"]),
        ("pacs", (), ["all"]),
        ("rcmnist", (), ["all"]),
        ("rcmnist-10k", (), []),
    ],
)
def test_numbers_are_compared_with_those_of_the_full_data_set(capsys, tmp_path, name, options, said):
    write_sample(data_set_of(name), tmp_path / "small")
    found = ask(capsys, "check", name, "--data-root", "small", "--images", "0", *options)["findings"]
    found = [one for one in map(dict, found) if "the full data set has" in one["what"]]
    assert sorted(one["where"] for one in found) == said
    if name == "pacs":
        assert found[0]["what"] == "has 301 samples; the full data set has 9,991"


@pytest.mark.slow
def test_rows_that_were_left_out_are_in_the_check(capsys, tmp_path):
    write_sample("folder", tmp_path / "small")
    told = ask(capsys, "check", "folder", "--data-root", "small", "--metadata", "points.csv")
    (note,) = [one["what"] for one in map(dict, told["findings"]) if one["severity"] == "note"]
    assert note.startswith("3 of 73 rows are left out, listed in ")
    assert "points.csv.geomoe/skipped.csv: " in note
    write_sample("fmow", tmp_path / "fmow")
    notes = [
        one["what"] for one in map(dict, ask(capsys, "check", "fmow", "--data-root", "fmow")["findings"])
    ]
    assert any("footprints across the antimeridian mended" in note for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(first_of_each(SAMPLED, reader_of)))
def test_every_sample_is_sound(name, capsys, tmp_path):
    """Traps and all; what overlaps by definition (DomainBed's test has the sources' val) is no fault."""
    write_sample(name, tmp_path / "small")
    told = ask(capsys, "check", name, "--data-root", "small", *MORE.get(name, ()))
    assert told["sound"]
    assert {finding["severity"] for finding in map(dict, told["findings"])} <= {"warning", "note"}


@pytest.mark.slow
@pytest.mark.parametrize("held_out", ["sketch", "null"])
def test_splits_of_domainbed_with_and_without_a_target(held_out, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))
    write_sample("pacs", tmp_path / "small")
    argv = ("pacs", "--data-root", "small", "--held-out", held_out)
    told = ask(capsys, "check", *argv, "--images", "0")
    target = ("target_in", "target_out", "held_out") if held_out == "sketch" else ()
    assert tuple(told["splits"]) == ("train", "val", "test", *target)
    compared = {(pair["first"], pair["second"]) for pair in told["pairs"]}
    assert (("val", "test") in compared) == (held_out == "null")
    made = ask(capsys, "cache", *argv, "--model.image_size", "16")
    assert made["images"] == len(np.load(Path(made["cache"]) / "rows.npy")) == 301


@pytest.mark.slow
def test_cache_of_pictures(capsys, tmp_path, monkeypatch):
    """A sampled data set of files: cached, verified, used; a second call does nothing new."""
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))
    monkeypatch.setattr(make_cache, "CHUNK", 16)
    ask(capsys, "sample", "iwildcam", "small")
    argv = ["cache", "iwildcam", "--data-root", "small", "--model.image_size", "32", "--workers", "1"]
    made = ask(capsys, *argv)
    assert made["shape"] == [3, 32, 32]
    assert Path(made["cache"]).parent == tmp_path / "caches" / "images"
    before = {path: path.stat().st_mtime_ns for path in Path(made["cache"]).iterdir()}
    assert ask(capsys, *argv) == made
    assert {path: path.stat().st_mtime_ns for path in Path(made["cache"]).iterdir()} == before
    monkeypatch.chdir(tmp_path)
    from geomoe.build import build_datamodule
    from geomoe.config.keys import Setting
    from geomoe.config.load import load

    flags = [Setting("data.root", "small", ""), Setting("model.image_size", 32, "")]
    data = build_datamodule(load("iwildcam", flags=flags, environment={})).dataset("test")
    assert (data.cached.positions(data.rows) >= 0).sum() > 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["data"], "the following arguments are required: action; see geomoe data --help"),
        (["data", "chek", "fmow"], "did you mean check?"),
        (["data", "check"], "check: give the NAME of a data set or configuration"),
        (["data", "check", "rcminst"], "NAME: no data set 'rcminst'; did you mean rcmnist?"),
        (["data", "sample", "rcmnist"], "sample: give the DIR to write to"),
        (["data", "info", "rcmnist", "x"], "info: unexpected argument 'x'"),
        (
            ["data", "info", "rcmnist", "--data-rot", "x"],
            "unknown argument --data-rot; did you mean --data-root?",
        ),
        (
            ["data", "check", "rcmnist", "--data.budgt", "9"],
            "--data.budgt: unknown key; did you mean data.budget",
        ),
        (["data", "check", "rcmnist", "--data-root"], "--data-root needs a value"),
        (["data", "check", "rcmnist"], "rcmnist: data.root is not set"),
        (["data", "check", "rcmnist", "--data-root", "nowhere"], "there is no train-images-idx3-ubyte"),
        (
            ["data", "check", "rcmnist", "--images", "-1"],
            "from 0 to 1,000,000,000,000; got '-1'",
        ),
        (
            ["data", "check", "bluemarble", "--countries", "none.shp"],
            "none.shp: cannot be read as outlines of countries",
        ),
        (["data", "cache", "bluemarble"], "bluemarble: its images are in memory already"),
        (["data", "sample", "bluemarble", "x"], "bluemarble: needs no sample"),
    ],
)
def test_refusals(refused, argv, message):
    assert message in refused(*argv)


def test_an_interrupted_cache_says_how_to_go_on(monkeypatch, capsys):
    from geomoe.cli import data

    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "cache", stop)
    assert main(["data", "cache", "fmow", "--data-root", "a b"]) == 130
    assert capsys.readouterr().err.endswith("; go on with: geomoe data cache fmow --data-root 'a b'\n")
