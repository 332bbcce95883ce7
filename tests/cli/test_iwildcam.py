"""iWildCam through the command line: both configurations, macro F1 selects, wilds' scores beside ours."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from geomoe import load
from geomoe.cli import main
from geomoe.datasets import IWildCam, from_wilds
from geomoe.datasets.samples import iwildcam as sample
from geomoe.datasets.wilds.compat import open_wilds

SMALL = (
    *("--model.backbone", "vit_quick", "--model.image_size", "32", "--model.weights", "null"),
    *("--model.moge_blocks", "3", "--model.num_experts", "3", "--model.top_k", "2"),
    *("--encoder.legendre_polys", "4", "--data.num_workers", "0", "--moge.cka_tokens", "2"),
    *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--quiet"),
)
NAMES = {"iwildcam": "all-seed0-dry", "iwildcam-cameras": "domain-ids-all-seed0-dry"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iwildcam")
    sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """Configuration -> folder of a dry run."""
    output = tmp_path_factory.mktemp("runs")
    found = {}
    for name in NAMES:
        argv = ["train", name, "--data-root", str(root), "--output", str(output), "--dry-run", *SMALL]
        assert main(argv) == 0
        (found[name],) = (path for path in output.glob("iwildcam/moge/*") if NAMES[name] in path.name)
    return found


def checkpoint(runs, name):
    return Path(runs[name]) / "checkpoints" / "best.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_selects_by_macro_f1_and_counts_places(runs, root, name):
    with (runs[name] / "metrics.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert 0 <= float(row["val_macro_f1"]) <= 1
    facts = json.loads((runs[name] / "run.json").read_text())["data"]
    train, val = IWildCam(root, "train"), IWildCam(root, "val")
    assert facts["samples"] == {"train": len(train), "val": len(val)}
    places = facts["unknown_places"]
    if name == "iwildcam":
        assert places["train"] == int((train.lonlat != train.lonlat)[:, 0].sum()) > 0
        assert places["val"] == 0
    else:
        assert places == {"train": len(train), "val": len(val)}


def test_a_router_of_camera_ids_knows_the_cameras_of_train_alone(runs, root):
    predictor = load(checkpoint(runs, "iwildcam-cameras"), "cpu")
    data = IWildCam(root, "train", gps=None)
    known = predictor.encoder.trained.nonzero().flatten().tolist()
    assert known == sorted(set(data.domains.tolist())) == predictor.info["train_domains"]
    assert len(known) == 8 < len(predictor.domains) == 13


@pytest.mark.slow
def test_wilds_scores_stand_beside_ours(runs, root, capsys, tmp_path):
    capsys.readouterr()
    argv = ["evaluate", "--checkpoint", str(checkpoint(runs, "iwildcam")), "--data-root", str(root)]
    assert main([*argv, "--split", "id_test", "--json", "--quiet", "--output", str(tmp_path / "report")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bootstrap"]["unit"] == "sequence"
    official = report["official"]
    assert official["problem"] is None
    assert {(row["experts"], row["metric"]) for row in official["rows"]} == {
        (experts, metric)
        for experts in ("all", "shared")
        for metric in ("acc_avg", "recall-macro_all", "F1-macro_all")
    }
    assert all(row["equal"] for row in official["rows"])
    f1 = {row["experts"]: row["geomoe"] for row in official["rows"] if row["metric"] == "F1-macro_all"}
    assert f1 == {experts: report["scores"][experts]["overall"]["macro_f1"] for experts in ("all", "shared")}
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == report
    page = (tmp_path / "report" / "map.html").read_text(encoding="utf-8")
    data = IWildCam(root, "id_test")
    known = ~np.isnan(data.lonlat[:, 0])
    placed, unplaced = ({data.regions[camera] for camera in data.domains[rows]} for rows in (known, ~known))
    assert all(f'"{camera}",' in page for camera in placed)
    assert unplaced
    assert all(f'"{camera} (place unknown)",' in page for camera in unplaced)


@pytest.mark.slow
def test_cameras_that_a_router_of_ids_has_not_seen_are_told(runs, root, capsys):
    capsys.readouterr()
    argv = ["evaluate", "--checkpoint", str(checkpoint(runs, "iwildcam-cameras")), "--quiet"]
    assert main([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    data = IWildCam(root, "test", gps=None)
    assert report["notes"][0].startswith(f"{len(data)} of {len(data)} samples are of a camera that training")
    assert report["encoder"] == "domain"
    assert main([*argv, "--split", "id_test"]) == 0
    text = capsys.readouterr().out
    assert "moge (encoder domain) on iwildcam, split id_test" in text
    assert "that training did not have" not in text


def test_a_subset_of_wilds_is_predicted_like_our_reader(runs, root):
    from geomoe.inference import predict_dataset

    predictor = load(checkpoint(runs, "iwildcam"), "cpu")
    subset = open_wilds("iwildcam", root / sample.FOLDER).get_subset("test")
    theirs = predict_dataset(predictor, from_wilds(subset, image_size=32))
    ours = predict_dataset(predictor, IWildCam(root, "test", image_size=32))
    assert (theirs.logits == ours.logits).all()
    assert (theirs.label == ours.label).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data-root", "nowhere"], "iwildcam: no metadata.csv in nowhere/iwildcam_v2.0 or nowhere"),
        (["--metadata", "places.json"], "places.json: the cameras' places"),
        (["--held-out", "camera 5"], "data.held_out: iwildcam's val and test are cameras"),
        (["--data.bands", "1"], "data.bands: iwildcam has no such key"),
    ],
)
def test_refusals(root, capsys, tmp_path, options, message):
    argv = ["train", "iwildcam", "--data-root", str(root), "--output", str(tmp_path / "runs"), "--dry-run"]
    assert main([*argv, *SMALL, *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "runs").exists()
