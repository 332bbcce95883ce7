"""FMoW and FMoW-LAO through the command line, on data in their layout: train, evaluate, refuse."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from geomoe.cli import main
from geomoe.datasets import FMoW, FMoWLAO
from geomoe.datasets.samples import fmow as sample
from geomoe.evaluation import Report

SMALL = (
    *("--model.backbone", "vit_quick", "--model.image_size", "32", "--model.weights", "null"),
    *("--model.moge_blocks", "2,3", "--encoder.name", "wrap", "--encoder.weights", "null"),
    *("--encoder.out_dim", "16", "--data.batch_size", "16", "--data.num_workers", "0"),
    *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--quiet"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fmow")
    sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """One dry run of each shipped configuration, small."""
    output = tmp_path_factory.mktemp("runs")
    for name, options in {"fmow": [], "fmow-lao": ["--algorithm", "erm"]}.items():
        argv = ["train", name, "--data-root", str(root), "--output", str(output), "--dry-run"]
        assert main([*argv, *SMALL, *options]) == 0
    return output


def checkpoint(runs, name):
    found = list(Path(runs, name).glob("*/*/checkpoints/best.ckpt"))
    assert len(found) == 1
    return found[0]


def evaluate(capsys, file, *options):
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(file), "--json", "--quiet", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_report_has_regions_and_years(runs, root, capsys, tmp_path):
    file = checkpoint(runs, "fmow")
    report = evaluate(capsys, file, "--experts", "shared", "--output", str(tmp_path / "report"))
    data, scores = FMoW(root, "test"), report["scores"]["shared"]
    assert report["uncounted"] == ["Other"]
    assert {name: part["count"] for name, part in scores["regions"].items()} == {
        name: int((data.domains == number).sum()) for number, name in enumerate(data.regions)
    }
    years = scores["groups"]["year"]["parts"]
    assert {name: part["count"] for name, part in years.items()} == {
        str(year): int((data.extra["year"] == year).sum()) for year in sorted(set(data.extra["year"]))
    }
    total = sum(part["count"] * part["accuracy"] for part in years.values())
    assert total == pytest.approx(scores["overall"]["count"] * scores["overall"]["accuracy"])
    counted = {name: part["accuracy"] for name, part in scores["regions"].items() if name != "Other"}
    assert scores["worst"] in counted
    assert counted[scores["worst"]] == min(counted.values())
    assert (tmp_path / "report" / "by_year.png").stat().st_size > 1000
    text = Report.load(tmp_path / "report").table()
    assert "Other (never worst)" in text
    assert "by year" in text


@pytest.mark.slow
@pytest.mark.parametrize("split", ["id_val", "id_test", "val"])
def test_the_data_sets_own_splits(runs, root, capsys, split):
    report = evaluate(capsys, checkpoint(runs, "fmow"), "--split", split, "--experts", "shared")
    assert report["scores"]["shared"]["overall"]["count"] == len(FMoW(root, split))


@pytest.mark.parametrize("split", ["test", "held_out", "pooled"])
def test_lao_reports(runs, root, capsys, split):
    report = evaluate(capsys, checkpoint(runs, "fmow-lao"), "--split", split)
    data, scores = FMoWLAO(root, split), report["scores"]["all"]
    asia = int((data.domains == 0).sum())
    assert (report["held_out"], scores["overall"]["count"]) == ("Asia", len(data))
    assert scores["held_out"]["count"] == asia
    if split == "test":
        assert scores["source"]["count"] == len(data) - asia
        assert scores["source_worst"] not in ("Asia", "Other")
    else:
        assert scores["source"] is None
        assert asia == len(data)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "held_out"])
def test_lao_scores_the_pooled_variant_beside_the_official_test(runs, root, capsys, split, tmp_path):
    file = checkpoint(runs, "fmow-lao")
    report = evaluate(capsys, file, "--split", split, "--output", str(tmp_path / "report"))
    pooled = evaluate(capsys, file, "--split", "pooled")
    assert report["beside"] == {"pooled": {"all": pooled["scores"]["all"]["overall"]}}
    assert pooled["beside"] == {}
    assert evaluate(capsys, file, "--split", split, "--no-beside") == {**report, "beside": {}}
    assert "beside it: split pooled" in Report.load(tmp_path / "report").table()


@pytest.mark.slow
def test_a_report_is_a_map_too(runs, root, capsys, tmp_path):
    report = evaluate(capsys, checkpoint(runs, "fmow"), "--output", str(tmp_path / "report"))
    data = FMoW(root, "test")
    known = ~np.isnan(data.lonlat[:, 0])
    assert report["domain_unit"] == "region"
    assert sum(report["places"]["count"]) == int(known.sum())
    assert report["places"]["unplaced"] == int((~known).sum())
    part = report["scores"]["all"]["overall"]
    if known.all():
        assert sum(report["places"]["correct"]["all"]) == round(part["accuracy"] * part["count"])
    page = (tmp_path / "report" / "map.html").read_text(encoding="utf-8")
    assert "Scores of moge on fmow, test" in page
    assert (tmp_path / "report" / "map.png").stat().st_size > 10_000


def test_the_index_file_is_written_with_the_run(runs, root):
    run = checkpoint(runs, "fmow-lao").parents[1]
    with gzip.open(run / "index.csv.gz", "rt", encoding="utf-8", newline="") as file:
        index = list(csv.DictReader(file))
    for name in ("held_out", "pooled"):
        listed = [int(row["row"]) for row in index if row[name] == "1"]
        assert np.array_equal(listed, FMoWLAO(root, name).rows)
    trained = {row["region"] for row in index if row["split"] in ("train", "val", "id_val")}
    assert trained
    assert "Asia" not in trained


@pytest.mark.slow
def test_refusals(refused, runs, root, tmp_path):
    nothing = refused("train", "fmow", "--data-root", tmp_path / "none")
    assert "FMoW is not there" in nothing
    assert "geomoe data info fmow" in nothing
    lao = refused("train", "fmow-lao", "--data-root", root, "--held-out", "Asya")
    assert lao.startswith("data.held_out: no region 'Asya'; did you mean Asia?")
    judge = ("evaluate", "--checkpoint", checkpoint(runs, "fmow"), "--split")
    assert "did you mean id_test" in refused(*judge, "id_tset")
    assert "no split 'pooled'" in refused(*judge, "pooled")
    by = refused("train", "fmow-lao", "--data-root", root, "--data.domain_by", "year")
    assert "data.domain_by: fmow-lao has no such key" in by
    grouped = ("--data.groups_per_batch", "6", "--data.batch_size", "18")
    many = refused(
        "train",
        "fmow",
        "--data-root",
        root,
        *SMALL,
        *grouped,
        "--encoder.name",
        "sh",  # wrap would be doubted first
        "--output",
        tmp_path / "o",
    )
    assert "expected 1 to 5" in many  # Other is no domain of a batch


def test_weights_of_a_run_that_saw_the_left_out_region_are_refused(refused, runs, root, tmp_path):
    start = ("--model.init_from", checkpoint(runs, "fmow"), "--output", tmp_path / "o")
    line = refused("train", "fmow-lao", "--data-root", root, *SMALL[:-1], *start)
    assert "it has seen what this run" in line
