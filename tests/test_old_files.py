"""Files that geomoe wrote before its rooms were rearranged are read, and go on, as they did."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import geomoe
from geomoe.cli import main
from geomoe.config.load import load
from geomoe.evaluation import Report

ARCHIVE = Path(__file__).with_name("data") / "before_house.tar.xz"  # made by tools/make_old_files.py

#: What the configuration folder said before it followed the number of images and the extent of their places.
FOLDER = {"data.batch_size": 64, "encoder.name": "sh", "encoder.legendre_polys": 10}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "before_house"


@pytest.mark.parametrize("algorithm", ["erm", "erm_le", "moge"])
def test_a_checkpoint_gives_the_answers_it_gave(old, algorithm):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.float32)
    lonlat = torch.tensor(
        [[10.0, 50.0], [-60.0, -10.0], [140.0, 35.0], [np.nan, np.nan]], dtype=torch.float64
    )
    found = geomoe.load(old / f"{algorithm}.ckpt").predict(torch.from_numpy(images), lonlat)
    wanted = json.loads((old / "answers.json").read_text())[algorithm]["probabilities"]
    np.testing.assert_allclose(found.probabilities, wanted, atol=2e-5)


@pytest.mark.slow
@pytest.mark.long
def test_a_stopped_run_goes_on_to_its_end(old, tmp_path):
    shutil.copytree(old / "stopped", tmp_path / "stopped")
    run = tmp_path / "stopped/bluemarble/moge/all-seed0"
    words = ["train", "--config", str(run / "config.yaml"), "--output", str(tmp_path / "stopped"), "--resume"]
    assert main([*words, "--quiet"]) == 0
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (old / "stopped/bluemarble/moge/all-seed0/metrics.csv").open() as file:
        assert rows[0] == next(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert (run / "done").exists()
    assert geomoe.load(run / "checkpoints/last.ckpt").num_experts == 2


def test_configuration_files_mean_what_they_meant(old):
    files = sorted((old / "configs").glob("*.yaml"))
    assert len(files) == 13
    for file in files:
        given = FOLDER if file.stem == "folder" else {}  # these follow the data since
        assert load(file=file, environment={}) == load(file.stem, environment={}, values=given), file.stem


def test_a_report_is_read(old):
    report = Report.load(old / "report")
    assert "worst region" in report.table()
    assert main(["summarize", str(old / "report"), "--quiet"]) == 0


def test_the_image_cache_of_a_folder_is_used(old, monkeypatch, capsys):
    monkeypatch.setenv("GEOMOE_CACHE", str(old / "cache"))
    pixels = next((old / "cache").rglob("pixels.npy"))
    before = pixels.stat()
    words = ["--data-root", str(old / "folder"), "--metadata", "points.csv", "--model.image_size", "16"]
    assert main(["data", "cache", "folder", *words]) == 0
    after = pixels.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert "0 of 70 images" not in capsys.readouterr().err
