"""Data of one country, from the check to the maps: what follows the extent of its places."""

from __future__ import annotations

import contextlib
import csv
import io
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from geomoe.checkpoint import load_checkpoint
from geomoe.cli import main
from geomoe.config.load import load
from geomoe.errors import ConfigError
from geomoe.training.runfolder import RunFolder
from tests.earth.test_extent import widest_pair

BOX = (6.5, 47.5, 14.5, 54.5)
SIZES = (
    *("--model.image_size", "16", "--model.num_experts", "3", "--model.top_k", "2", "--moge.cka_tokens", "2"),
    *("--data.batch_size", "16", "--trainer.max_epochs", "1", "--trainer.loggers", "csv"),
    *("--trainer.accelerator", "cpu", "--trainer.threads", "1"),
)


@pytest.fixture(scope="module")
def germany(tmp_path_factory):
    """A folder of 64 pictures with places in and around Germany, half of them to train on."""
    folder = tmp_path_factory.mktemp("germany")
    generator = np.random.default_rng(0)
    lonlat = np.stack([generator.uniform(*BOX[::2], 64), generator.uniform(*BOX[1::2], 64)], axis=1).round(5)
    rows = []
    for number, (lon, lat) in enumerate(lonlat.tolist()):
        pixels = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = ("train", "train", "val", "test")[number % 4]
        rows.append([f"{number}.png", "wood" if lat > 51 else "field", lon, lat, split])
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["filename", "label", "lon", "lat", "split"], *rows])
    return folder, lonlat[np.arange(64) % 4 < 2]


@pytest.fixture(scope="module")
def trained(germany, tmp_path_factory):
    """A run with the defaults of the configuration folder, small and short; its folder and what it said."""
    output, words = tmp_path_factory.mktemp("runs"), ("--metadata", str(germany[0] / "points.csv"))
    argv = ["train", "folder", "--data-root", str(germany[0]), *words, "--output", str(output), *SIZES]
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        assert main(argv) == 0
    return output / "folder" / "moge" / "all-seed0", told.getvalue()


def data_of(folder):
    return "--data-root", str(folder), "--metadata", str(folder / "points.csv")


@pytest.mark.slow
def test_the_run_says_which_encoder_fits(germany, trained):
    extent = widest_pair(germany[1])
    finest = float(np.floor(extent / 8 * 10) / 10)  # three digits
    assert 90 < finest < 130
    expected = {"name": "fourier", "legendre_polys": 10, "finest_km": pytest.approx(finest, abs=1)}
    folder, told = trained
    for encoder in (
        yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["encoder"],
        load_checkpoint(folder / "checkpoints" / "best.ckpt").config.as_dict()["encoder"],
    ):
        assert {key: encoder[key] for key in expected} == expected
    line = next(line for line in told.splitlines() if "across" in line)
    assert f"the training places are {extent:,.0f} km across; the encoder (fourier, finest" in line
    assert line.endswith("chosen by this extent, written to config.yaml")


@pytest.mark.slow
def test_the_check_says_it_too_and_warns(germany, capsys):
    assert main(["--json", "data", "check", "folder", *data_of(germany[0]), "--quiet"]) == 0
    reach = json.loads(capsys.readouterr().out)["reach"]
    assert reach["extent_km"] == pytest.approx(widest_pair(germany[1]), rel=1e-6)
    assert reach["resolution_km"] == pytest.approx(reach["extent_km"] / 8, rel=0.01)
    assert reach["encoder"].startswith("fourier, finest ")
    assert reach["doubt"] == ""
    argv = ["data", "check", "folder", *data_of(germany[0]), "--encoder.name", "wrap", "--quiet"]
    assert main(argv) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"the training places are {reach['extent_km']:,.0f} km across" in said
    assert f"--encoder.name fourier --encoder.finest_km {reach['resolution_km']:g}" in said
    assert main(["data", "check", "folder", *data_of(germany[0]), "--encoder.name", "domain", "--quiet"]) == 0
    assert "across" not in capsys.readouterr().out


def test_a_run_of_before_goes_on_with_its_encoder(germany, tmp_path):
    """Its config.yaml has sh, and the command says nothing of the encoder."""
    from geomoe.config.keys import Setting

    flags = [
        Setting("data.root", str(germany[0]), "--data-root"),
        Setting("data.metadata", str(germany[0] / "points.csv"), "--metadata"),
    ]
    old = [Setting("encoder.name", "sh", "--x"), Setting("encoder.legendre_polys", "10", "--x")]
    folder = RunFolder(tmp_path / "run")
    folder.start(load("folder", flags=[*flags, *old], environment={}))
    config = load("folder", flags=flags, environment={})
    with pytest.raises(ConfigError, match=r"encoder\.name: 'sh', now 'auto'"):
        folder.check_resume(config)
    folder.check_resume(folder.keep_choice(config))
    assert folder.keep_choice(config).encoder.legendre_polys == 10
    other = load("folder", flags=[*flags, Setting("encoder.name", "fourier", "--x")], environment={})
    with pytest.raises(ConfigError, match=r"encoder\.name: 'sh', now 'fourier'"):
        folder.check_resume(folder.keep_choice(other))
    assert RunFolder(tmp_path / "none").keep_choice(config) == config


@pytest.mark.slow
def test_maps_fit_the_country(germany, trained, tmp_path, capsys):
    checkpoint = str(trained[0] / "checkpoints" / "best.ckpt")
    argv = ["map-experts", "--checkpoint", checkpoint, "--device", "cpu", "--data-root", str(germany[0])]
    assert main([*argv, "--output", str(tmp_path / "map")]) == 0
    facts = json.loads((tmp_path / "map" / "experts.json").read_text(encoding="utf-8"))["facts"]
    assert facts["Location encoder"].startswith("fourier, finest ")
    assert facts["Location encoder"].endswith(" km")
    assert facts["Grid"].startswith("0.1°, ")
    page = (tmp_path / "map" / "experts.html").read_text(encoding="utf-8")
    assert '"borders":[[[' in page
    assert len(page) < 2_000_000
    report, more = tmp_path / "report", ["--device", "cpu", "--data-root", str(germany[0])]
    argv = ["evaluate", "--checkpoint", checkpoint, *more]
    assert main([*argv, "--output", str(report)]) == 0
    # 16 samples: 4 cells on the longer side are enough
    assert "Accuracy in cells of 1\\u00b0" in (report / "map.html").read_text(encoding="utf-8")
    assert main([*argv, "--output", str(report), "--cell", "0.5"]) == 0
    assert "Accuracy in cells of 0.5\\u00b0" in (report / "map.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main([*argv, "--output", str(report), "--cell", "0.7"]) == 2
    assert "cell: expected degrees that divide 180" in capsys.readouterr().err
    assert main([*argv, "--cell", "1"]) == 2
    assert "--cell: the map is written to --output DIR" in capsys.readouterr().err
