"""Every verb that reads images, on a folder where some are hostile: it goes on without them, or refuses."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import replace

import hostile_files as kit
import pytest
import torch

from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.cli import main
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.datasets.samples.folder import write

CHOSEN = ("vsicurl", "header file", "wms", "stacit", "a pipe")  # as many as a table may lose
TABLE = ("--data-root", "data", "--metadata", "data/clean.csv")
TRAIN = (
    *("--model.image_size", "16", "--encoder.legendre_polys", "4", "--data.batch_size", "8"),
    *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--trainer.accelerator", "cpu"),
    *("--output", "runs", "--dry-run"),
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "data"
    write(folder)
    return folder


@pytest.fixture
def data(sample, hostile, tmp_path, monkeypatch):
    """The folder ``data`` with hostile files under the names of five images of ``clean.csv``."""
    for name in set(os.environ):
        if name.startswith("GEOMOE_") and name not in {"GEOMOE_CACHE", "GEOMOE_OFFLINE"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    shutil.copytree(sample, folder)
    with (folder / "clean.csv").open(encoding="utf-8", newline="") as file:
        rows = [row["filename"] for row in csv.DictReader(file)]
    for name, image in zip(CHOSEN, rows[::12], strict=False):
        (folder / image).unlink()
        os.rename(hostile[name], folder / image)
    shutil.rmtree(tmp_path / "images")
    return folder


@pytest.fixture
def checkpoint(data, tmp_path):
    """An untrained network of that folder; it claims that VRTs are allowed."""
    torch.manual_seed(0)
    table = DataConfig(name="folder", root=str(data), metadata="clean.csv")
    config = RunConfig(algorithm="moge", encoder=EncoderConfig(legendre_polys=4, out_dim=16))
    config = replace(config, data=table, model=ModelConfig(image_size=16))
    info = build_datamodule(config).info()
    config = replace(config, data=replace(table, allow_vrt=True))
    return save_checkpoint(tmp_path / "a.ckpt", build_network(config, info), config, info)


VERBS = {
    "predict a folder": ("predict", "--checkpoint", "a.ckpt", "data/images", "--output", "out.csv"),
    "predict a table": ("predict", "--checkpoint", "a.ckpt", "data/clean.csv", "--output", "out.csv"),
    "predict tiles": (
        "predict",
        "--checkpoint",
        "a.ckpt",
        "data/images",
        "--tile",
        "8",
        "--output",
        "out.csv",
    ),
    "data check": ("data", "check", "folder", *TABLE, "--workers", "1", "--output", "check"),
    "data cache": ("data", "cache", "folder", *TABLE, "--workers", "1", "--model.image_size", "16"),
    "data info": ("data", "info", "folder", "--data-root", "data"),
    "train": ("train", "folder", *TABLE, *TRAIN),
    "evaluate": ("evaluate", "--checkpoint", "a.ckpt", "--output", "report"),
    "diagnose": ("diagnose", "--checkpoint", "a.ckpt", "--permutations", "2", "--output", "diagnosis"),
    "map-experts": ("map-experts", "--checkpoint", "a.ckpt", "--step", "20", "--output", "map"),
}


#: Verbs that open images as data check or another way of predict does.
LONG = ("predict a table", "predict tiles", "data cache", "evaluate", "diagnose", "map-experts")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "allowed"),
    [
        *((verb, False) for verb in VERBS),
        *(
            pytest.param(verb, True, marks=pytest.mark.long if verb in LONG else ())
            for verb in VERBS
            if verb != "data info"
        ),
    ],
)
def test_a_verb_goes_on_without_hostile_files(verb, allowed, quiet, checkpoint, capsys):
    words = [*VERBS[verb], *(["--allow-vrt"] if allowed else []), "--quiet"]
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 0, err
    assert kit.SECRET not in out + err
    if verb.startswith("predict"):
        with open("out.csv.skipped.csv", encoding="utf-8", newline="") as file:
            reasons = " ".join(row["reason"] for row in csv.DictReader(file))
        assert "XML file (GDAL_WMS)" in reasons
        assert ("lies outside" in reasons or "is no file" in reasons) == allowed


@pytest.mark.parametrize("name", [*CHOSEN, "wcs", "wmts", "polyglot bitmap", "a mask that is a VRT"])
@pytest.mark.parametrize("output", ["out.csv", "out.tif"])
def test_one_hostile_file_is_refused(name, output, quiet, sample, hostile, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = RunConfig(algorithm="erm", model=ModelConfig(image_size=16))
    facts = {"classes": ["a", "b"], "domains": ["c"], "bands": 1, "mean": [1.0], "std": [1.0]}
    save_checkpoint("b.ckpt", build_network(config, facts), config, facts)
    words = ["predict", "--checkpoint", "b.ckpt", str(hostile[name]), "--output", output]
    assert main([*words, "--allow-vrt", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert not (tmp_path / output).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", ["http://127.0.0.1/a.tif", "s3://bucket/a.tif", "/vsicurl/http://127.0.0.1/a.png"]
)
def test_names_of_servers_are_not_files(given, quiet, checkpoint, capsys):
    assert main(["predict", "--checkpoint", "a.ckpt", given, "--output", "o.csv", "--quiet"]) == 2
    assert "only files of this machine are read" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_may_not_lead_away(quiet, checkpoint, capsys, tmp_path):
    kit.tif(tmp_path / "away.tif")
    names = [
        "../away.tif",
        "images/../../away.tif",
        f"{quiet.address}/a.tif",
        "/vsicurl/http://127.0.0.1/a.tif",
    ]
    (tmp_path / "data/t.csv").write_text("filename\n" + "\n".join(names) + "\n")
    assert main(["predict", "--checkpoint", "a.ckpt", "data/t.csv", "--output", "o.csv", "--quiet"]) == 2
    assert "4 of 4 rows cannot be used" in (error := capsys.readouterr().err)
    assert "the filename leads out of the folder of images, or to a server" in error


@pytest.mark.slow
def test_a_link_out_of_a_folder_is_left_out(quiet, checkpoint, tmp_path, capsys):
    kit.tif(tmp_path / "away.tif")
    (tmp_path / "data/images/link.tif").symlink_to(tmp_path / "away.tif")
    assert main(["predict", "--checkpoint", "a.ckpt", "data/images", "--output", "o.csv", "--quiet"]) == 0
    assert (
        "images/link.tif,a link that leads out of data/images" in (tmp_path / "o.csv.skipped.csv").read_text()
    )


@pytest.mark.slow
def test_a_vrt_of_good_tiles_is_predicted_when_it_is_allowed(quiet, checkpoint, tmp_path, sample):
    import rasterio
    import rasterio.shutil

    (tmp_path / "good").mkdir()
    tile = next((sample / "images").glob("*.tif"))
    shutil.copy(tile, tmp_path / "good/a.tif")
    with rasterio.open(tmp_path / "good/a.tif") as source:
        rasterio.shutil.copy(source, tmp_path / "good/a.vrt", driver="VRT")
    words = ["predict", "--checkpoint", "a.ckpt", "good", "--output", "o.csv", "--quiet"]
    assert main([*words, "--allow-vrt"]) == 0
    rows = list(csv.DictReader((tmp_path / "o.csv").open(encoding="utf-8")))
    assert [row.pop("filename") for row in rows] == ["good/a.tif", "good/a.vrt"]
    assert rows[0] == rows[1]
    assert main(words) == 0
    assert "--allow-vrt (data.allow_vrt) allows it" in (tmp_path / "o.csv.skipped.csv").read_text()
