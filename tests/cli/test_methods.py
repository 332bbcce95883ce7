"""Every method of the catalogue from the command line: a dry run, its report, and use without its file."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

import geomoe
from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.checkpoint import load_checkpoint
from geomoe.cli import main
from tests.kinds import first_of_each, update_of
from tests.pictures import make_pictures

SMALL = (
    *("--encoder.legendre_polys", "4", "--trainer.loggers", "csv", "--data.batch_size", "16"),
    *("--trainer.accelerator", "cpu", "--trainer.devices", "1", "--quiet"),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
@pytest.mark.parametrize("name", first_of_each(METHODS, update_of))
def test_a_dry_run_its_report_and_its_answers_without_its_file(name, pictures, capsys, tmp_path, monkeypatch):
    entry = METHODS[name]
    method = ["--algorithm", ALGORITHMS[0], "--around", name] if entry.wrapper else ["--algorithm", name]
    method += ["--model.num_experts", "2", "--model.top_k", "1"] if entry.experts else []
    data = ["folder", "--data-root", str(pictures), "--metadata", "points.csv", "--model.image_size", "32"]
    words = ["train", *data, *method, *SMALL, "--dry-run", "--output", str(tmp_path), "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 <= result["metrics"]["test_acc"] <= 1
    best = result["best"]
    config = load_checkpoint(best).config
    assert list(config.options) == [ALGORITHMS[0], name] if entry.wrapper else [name]

    assert main(["evaluate", "--checkpoint", best, "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["algorithm"] == "+".join(config.methods)
    assert report["scores"]["all"]["overall"]["accuracy"] == pytest.approx(result["metrics"]["test_acc"])

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)))
    lonlat = torch.tensor([[10.0, 50.0]] * 4, dtype=torch.float64)
    before = geomoe.load(best).predict(images, lonlat).probabilities
    for module in [name for name in sys.modules if name.startswith("geomoe.algorithms")]:
        monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    assert torch.equal(geomoe.load(best).predict(images, lonlat).probabilities, before)


@pytest.mark.slow
def test_a_method_that_compares_domains_refuses_data_with_one(capsys, tmp_path):
    words = ["train", "bluemarble", "--algorithm", "groupdro", *SMALL, "--output", str(tmp_path)]
    assert main([*words, "--trainer.accumulate_grad_batches", "2"]) == 2
    said = capsys.readouterr().err
    assert "trainer.accumulate_grad_batches: groupdro makes an update of every batch; set it to 1" in said
    assert list(tmp_path.iterdir()) == []
