from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from geomoe.build import build_datamodule
from geomoe.checkpoint import load_checkpoint
from geomoe.config.load import read_config
from geomoe.datasets.bluemarble.reader import BlueMarble
from geomoe.encoders.base import LocationEncoder
from geomoe.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DependencyNotFoundError,
    DivergedError,
    GeomoeError,
    OutputError,
)
from geomoe.inference import load, predict_dataset
from geomoe.training import RunFolder, fit, is_first_process, run_folder
from geomoe.training.progress import TrainingProgress
from geomoe.training.run import _data_facts
from geomoe.training.saving import Saving, StopRequest


@pytest.mark.slow
def test_what_a_run_leaves(tiny, capfd):
    config = tiny("moge", data={"held_out": "Asia"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a run is silent on what was decided
        result = fit(config, command=["geomoe", "train", "bluemarble"], limit_batches=3)
    written = capfd.readouterr()
    assert written.out == ""
    lines = written.err.splitlines()
    assert len(lines) == 2, written.err
    assert all("images/s" in line and "val_acc" in line for line in lines)

    folder = result.folder
    assert folder == run_folder(config).path
    assert sorted(os.listdir(folder)) == [
        "checkpoints",
        "config.yaml",
        "done",
        "metrics.csv",
        "run.json",
        "tensorboard",
    ]
    assert sorted(os.listdir(folder / "checkpoints")) == ["best.ckpt", "last.ckpt"]
    assert read_config(yaml.safe_load((folder / "config.yaml").read_text())) == config
    facts = json.loads((folder / "run.json").read_text())
    data = build_datamodule(config)
    assert facts["data"]["hash"] == data.dataset("train").data_hash
    assert facts["data"]["samples"] == {"train": len(data.dataset("train")), "val": len(data.dataset("val"))}
    assert facts["data"]["unknown_places"] == {"train": 0, "val": 0}
    assert facts["starts"][0]["command"] == ["geomoe", "train", "bluemarble"]

    with (folder / "metrics.csv").open() as file:
        rows = [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [3, 6]
    best = max(rows, key=lambda row: row["val_acc"])
    assert result.metrics == best
    for row in rows:
        terms = ("train_task", "train_aux", "train_cka", "train_supcon")
        assert row["train_loss"] == pytest.approx(sum(row[term] for term in terms), rel=1e-5)
        assert "val_acc_asia" not in row, "the held-out region has no part in selection"


PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_formats_names_what_a_run_writes(tiny):
    result = fit(tiny("moge", max_epochs=1), quiet=True, limit_batches=1)
    facts = json.loads((result.folder / "run.json").read_text())
    content = torch.load(result.best, weights_only=True)
    keys = [*facts, *facts["data"], *facts["starts"][0], *content["geomoe"]["info"]]
    keys += [f"geomoe.{key}" for key in content["geomoe"]]
    with (result.folder / "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    for pattern in (r"block\d+_expert\d+_load", r"block\d+_entropy", "train_(?!loss).*", r"val_acc_\w+"):
        assert any(re.fullmatch(pattern, column) for column in columns), pattern
        columns = [column for column in columns if not re.fullmatch(pattern, column)]
    assert [key for key in [*keys, *columns] if f"`{key}`" not in PAGE] == []
    assert all(f"`{name}" in PAGE for name in [*os.listdir(result.folder), "checkpoints/best.ckpt"])


@pytest.mark.parametrize(
    ("select", "values", "kept"),
    [
        ("val_acc", [0.1, 0.3, 0.3, 0.2], 1),
        ("val_worst_region_acc", [0.3, 0.1], 0),
        ("val_mean_region_acc", [0.1, 0.3], 1),
        ("val_macro_f1", [0.1, 0.3, 0.2], 1),
        ("val_loss", [2.0, 1.0, 1.0, 3.0], 1),
        ("val_loss", [math.nan, 2.0, 3.0], 1),
        ("val_acc", [0.2, math.nan], 0),
    ],
)
def test_the_first_best_epoch_is_kept(tmp_path, select, values, kept):
    """Accuracies are to rise, the loss is to fall; an epoch that is lost is never the best for long."""
    saved = []
    saving = Saving(RunFolder(tmp_path), select, 0, False, StopRequest())
    for epoch, value in enumerate(values):
        trainer = SimpleNamespace(
            callback_metrics={select: torch.tensor(value)},
            current_epoch=epoch,
            global_step=epoch,
            max_epochs=len(values),
            world_size=1,
            is_global_zero=False,
            save_checkpoint=lambda path, epoch=epoch: saved.append((path.name, epoch)),
        )
        saving.on_train_epoch_end(trainer, SimpleNamespace(updates_done=lambda epoch=epoch: epoch + 1))
    assert [epoch for name, epoch in saved if name == "best.ckpt"][-1] == kept
    assert saving.best["epoch"] == kept


@pytest.mark.slow
def test_the_bar_of_a_terminal(tiny):
    screen = io.StringIO()
    shown = TrainingProgress(Console(file=screen, force_terminal=True, width=160, color_system=None))
    fit(tiny("erm"), quiet=True, callbacks=[shown], limit_batches=2)
    last = [line for line in screen.getvalue().splitlines() if "images/s" in line][-1]
    for part in ("epoch 2/2", "4/4", "images/s", "val_acc 0.", "val_worst_region_acc"):
        assert part in last, last


@pytest.mark.slow
def test_validation_is_that_of_the_kept_checkpoint(tiny):
    """The logged metrics, computed again from best.ckpt by another path."""
    result = fit(tiny("moge", max_epochs=1, data={"batch_size": 96}), quiet=True, limit_batches=1)
    found = predict_dataset(load(result.best, device="cpu"), BlueMarble(split="val"))
    seen = slice(0, 96)
    correct, domain = found.correct[seen], found.domain[seen]
    assert result.metrics["val_acc"] == pytest.approx(correct.mean(), abs=1e-9)
    by_region = {k: correct[domain == k].mean() for k in set(domain.tolist())}
    assert result.metrics["val_worst_region_acc"] == pytest.approx(min(by_region.values()), abs=1e-9)
    for k, value in by_region.items():
        assert result.metrics[f"val_acc_{BlueMarble.regions[k].lower()}"] == pytest.approx(value, abs=1e-9)
    label = torch.from_numpy(found.label[seen])
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(found.logits[seen]), label)
    assert result.metrics["val_loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.slow
def test_dry_run_is_two_real_steps_and_may_be_repeated(tiny):
    config = tiny("erm_le", accumulate_grad_batches=2)
    for _ in range(2):
        result = fit(config, dry_run=True, quiet=True)
    assert result.folder.name == "all-seed0-dry"
    assert result.metrics["step"] == 2
    assert load_checkpoint(result.best).config.trainer.max_epochs == 1
    assert not run_folder(config).path.exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_one_others(tiny, tmp_path):
    results = [
        fit(tiny("moge", seed=seed, output=tmp_path / name), quiet=True, limit_batches=2)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    a, b, c = (load_checkpoint(result.last).state_dict for result in results)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["model.backbone.head.weight"], c["model.backbone.head.weight"])


def test_other_data_is_not_gone_on_with(tiny, monkeypatch):
    config = tiny("erm", checkpoint_every_n_steps=1)
    with pytest.raises(OutputError):
        fit(config, quiet=True, callbacks=[Fails(1)], limit_batches=2)
    original = BlueMarble.__init__

    def changed(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.data_hash = "another"

    monkeypatch.setattr(BlueMarble, "__init__", changed)
    with pytest.raises(DataError, match=r"last\.ckpt: the data has changed since this run began"):
        fit(config, resume=True, quiet=True)


@pytest.mark.slow
def test_a_checkpoint_that_is_not_the_runs_own_is_not_gone_on_with(tiny):
    folders = {}
    for seed in (0, 1):
        config = tiny("erm", seed=seed, checkpoint_every_n_steps=1)
        with pytest.raises(OutputError, match="the disk is full"):
            fit(config, quiet=True, callbacks=[Fails(1)], limit_batches=2)
        folders[seed] = run_folder(config)
    own = folders[1].last.read_bytes()

    def refused(error):
        before = folders[1].last.read_bytes()
        with pytest.raises(CheckpointError, match=error) as caught:
            fit(config, resume=True, quiet=True, limit_batches=2)
        assert "\n" not in str(caught.value)
        assert folders[1].last.read_bytes() == before, "what was found is left as it was"

    folders[1].last.write_bytes(folders[0].last.read_bytes())
    refused(r"last\.ckpt: the checkpoint of another run: seed: 0, now 1; bring back")
    folders[1].last.write_bytes(own)
    content = torch.load(folders[1].last, weights_only=True)
    torch.save({name: content[name] for name in ("state_dict", "geomoe")}, folders[1].last)
    refused(r"last\.ckpt: cannot be resumed, it has only weights \(no epoch, global_step, optimizer_states")
    content["state_dict"]["algorithm.model.backbone.head.bias"] = torch.zeros(3)
    torch.save(content, folders[1].last)
    refused(r"last\.ckpt: weights of another model or class count: misshaped: model\.backbone\.head\.bias")
    folders[1].last.write_bytes(own)
    assert fit(config, resume=True, quiet=True, limit_batches=2).metrics["step"] > 0


def test_an_existing_folder_is_refused_before_anything_is_done(tiny):
    config = tiny("erm", max_epochs=1)
    result = fit(config, quiet=True, limit_batches=1)
    before = result.last.stat().st_mtime_ns
    with pytest.raises(OutputError, match="a finished run is there already"):
        fit(config, quiet=True)
    with pytest.raises(OutputError, match="the run has ended, nothing to resume"):
        fit(config, resume=True, quiet=True)
    assert result.last.stat().st_mtime_ns == before


class Fails(Callback):
    def __init__(self, batch):
        self.batch = batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.batch:
            raise OutputError("the disk is full")


@pytest.mark.slow
def test_a_failed_run_leaves_its_checkpoint_or_nothing(tiny):
    config = tiny("erm", checkpoint_every_n_steps=2)
    with pytest.raises(OutputError, match="the disk is full"):
        fit(config, quiet=True, callbacks=[Fails(1)], limit_batches=4)
    assert not run_folder(config).path.exists()
    with pytest.raises(OutputError, match="the disk is full"):
        fit(config, quiet=True, callbacks=[Fails(3)], limit_batches=4)
    assert os.listdir(run_folder(config).path / "checkpoints") == ["last.ckpt"]


def test_a_run_that_cannot_begin_leaves_nothing(tiny, tmp_path, monkeypatch):
    def full(path, text):
        raise OutputError(f"{path}: No space left on device")

    monkeypatch.setattr("geomoe.training.runfolder.write_text", full)
    with pytest.raises(OutputError, match=r"config\.yaml: No space left on device"):
        fit(tiny("erm"), quiet=True, limit_batches=1)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    assert not run_folder(tiny("erm")).path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": {"held_out": "Atlantis"}}, ConfigError, "Atlantis"),
        ({"data": {"name": "fmoww"}}, ConfigError, "bluemarble"),
        ({"data": {"batch_size": 10**6}}, ConfigError, "batch_size"),
        ({"model": {"moge_blocks": (2, 9)}}, ConfigError, "0 to 3"),
        ({"model": {"top_k": 7}}, ConfigError, "top_k"),
        ({"model": {"weights": "none.pth"}}, GeomoeError, r"none\.pth"),
        ({"model": {"init_from": "none.ckpt"}}, GeomoeError, r"none\.ckpt"),
        ({"loggers": ("csv", "comet")}, ConfigError, "known: csv, tensorboard, wandb"),
        ({"max_epochs": 0}, ConfigError, "max_epochs"),
        ({"precision": "17-mixed"}, ConfigError, "17-mixed"),
        ({"accelerator": "abacus"}, ConfigError, "abacus"),
        ({"strategy": "guess"}, ConfigError, "guess"),
    ],
)
def test_impossible_runs_are_one_line_and_leave_nothing(tiny, change, error, message):
    config = tiny("moge", **change)
    with pytest.raises(error, match=message) as caught:
        fit(config, quiet=True, limit_batches=1)
    assert "\n" not in str(caught.value)
    assert not run_folder(config).path.exists()


def test_a_logger_that_is_not_installed(tiny, monkeypatch):
    monkeypatch.setattr("geomoe.training.loggers.find_spec", lambda name: None)
    with pytest.raises(DependencyNotFoundError, match=r"pip install 'geomoe\[wandb\]'"):
        fit(tiny("erm", loggers=("csv", "wandb")))


@pytest.mark.slow
def test_without_loggers_there_is_no_table(tiny):
    result = fit(tiny("erm", max_epochs=1, loggers=()), quiet=True, limit_batches=1)
    assert sorted(os.listdir(result.folder)) == ["checkpoints", "config.yaml", "done", "run.json"]


@pytest.mark.slow
def test_upcycling_starts_from_the_earlier_backbone(tiny):
    erm = fit(tiny("erm", max_epochs=1), quiet=True, limit_batches=2)
    model = {"init_from": str(erm.best), "expert_noise": 0.0}
    moge = fit(
        tiny("moge", max_epochs=1, run_name="up", model=model),
        quiet=True,
        limit_batches=1,
        callbacks=[Before()],
    )
    earlier = load_checkpoint(erm.best).state_dict
    first = Before.weights
    for name in ("fc1.weight", "fc2.bias"):
        source = earlier[f"model.backbone.blocks.2.mlp.{name}"]
        assert torch.equal(first[f"model.backbone.blocks.2.mlp.{name}"], source)
        assert torch.equal(first[f"model.layers.2.experts.4.{name}"], source)
    assert moge.best.exists()
    held_out = tiny("moge", run_name="leak", model=model, data={"held_out": "Asia"})
    with pytest.raises(GeomoeError, match="it has seen what this run"):
        fit(held_out, quiet=True)


class Before(Callback):
    weights = None

    def on_train_start(self, trainer, pl_module):
        Before.weights = {name: value.clone() for name, value in pl_module.algorithm.state_dict().items()}


@pytest.mark.slow
def test_unknown_places_are_counted(tiny, monkeypatch, caplog):
    original = BlueMarble.__init__

    def forget(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.lonlat[:7] = float("nan")

    monkeypatch.setattr(BlueMarble, "__init__", forget)
    with caplog.at_level(logging.WARNING, logger="geomoe"):
        result = fit(tiny("moge", max_epochs=1), quiet=True, limit_batches=2)
    assert any("7 of" in line and "no known place" in line for line in caplog.messages)
    assert json.loads((result.folder / "run.json").read_text())["data"]["unknown_places"] == {
        "train": 7,
        "val": 7,
    }
    assert all(value == value for value in result.metrics.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "encoder", "told"),
    [("moge", "sh", True), ("erm_le", "sh", True), ("erm", "sh", False), ("dynmoe", "sh", False),
     ("moge", "domain", False)],
)  # fmt: skip
def test_unknown_places_are_said_to_methods_that_read_places(algorithm, encoder, told, caplog):
    lonlat = np.array([[1.0, 2.0], [np.nan, np.nan]])
    part = type("Part", (), {"lonlat": lonlat, "__len__": lambda self: len(self.lonlat)})()
    info = dict.fromkeys(("name", "data_hash", "held_out", "split_seed"))
    config = read_config({"algorithm": algorithm, "encoder": {"name": encoder}})
    data = SimpleNamespace(inner=SimpleNamespace(train_dataset=part, val_dataset=part))
    facts = _data_facts(SimpleNamespace(info=info, config=config), data)
    assert facts["unknown_places"] == {"train": 1, "val": 1}
    assert ("1 of 2 train samples have no known place" in caplog.text) is told
    assert "learns nothing of places" not in caplog.text
    lonlat[0] = np.nan
    _data_facts(SimpleNamespace(info=info, config=config), data)
    hint = f"2 of 2 train samples have no known place: {algorithm} learns nothing of places; give them, or"
    assert (hint in caplog.text) is told


@pytest.mark.slow
def test_location_features_are_computed_once(tiny, monkeypatch):
    calls, original = [], LocationEncoder.features

    def counted(self, lonlat, domain=None):
        calls.append(len(lonlat))
        return original(self, lonlat, domain)

    monkeypatch.setattr(LocationEncoder, "features", counted)
    fit(tiny("moge"), quiet=True, limit_batches=4)
    assert sum(calls) == len(BlueMarble(split="train")) + len(BlueMarble(split="val"))


@pytest.mark.slow
def test_compiled_training_is_stored_under_plain_names(tiny, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    result = fit(tiny("erm", max_epochs=1, compile=True), quiet=True, limit_batches=1)
    assert compiled == ["PlainNetwork"]
    assert "model.backbone.head.weight" in load_checkpoint(result.best).state_dict


@pytest.mark.parametrize(
    ("precision", "processor", "said"),
    [("bf16-mixed", "AVX2", True), ("bf16-mixed", "AVX512", False), ("32-true", "AVX2", False)],
)
def test_a_processor_that_emulates_bfloat16_is_told(tiny, monkeypatch, caplog, precision, processor, said):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    fit(tiny("erm", max_epochs=1, precision=precision), quiet=True, limit_batches=1)
    assert ("only emulates bfloat16" in caplog.text) is said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "sgd", "lamb"])
def test_other_optimisers_and_a_constant_rate(tiny, name):
    config = tiny("erm", max_epochs=1, gradient_clip=1.0, precision="bf16-mixed")
    config = replace(
        config, optimizer=replace(config.optimizer, name=name, schedule="constant", warmup=0.0, lr=0.25)
    )
    assert fit(config, quiet=True, limit_batches=2).metrics["lr"] == 0.25


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),  # torchrun, second node
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False),  # Lightning's helper within an interactive job
        ({"SLURM_PROCID": "1", "RANK": "0"}, True),  # torchrun says who is who
        ({"NODE_RANK": "1"}, False),  # Lightning on its second node, before it starts helpers
        ({"NODE_RANK": "0", "LOCAL_RANK": "0"}, True),
    ],
)
def test_the_first_of_several_processes(monkeypatch, variables, first):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first


class Poison(Callback):
    """Spoils the weights before a given batch."""

    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            with torch.no_grad():
                next(pl_module.algorithm.parameters()).fill_(math.nan)
            self.rows = trainer.datamodule.train_dataset.rows[batch.index.numpy()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erm", "fish"])
def test_training_that_diverges_stops_and_says_where(name, tiny):
    config = tiny(name, max_epochs=3)
    message = (
        r"training diverged: .* since update 6 \(epoch 1\), whose batch has (row \d+, ){7}row \d+ and 8 "
        r"more; lower .*last.ckpt is from before that$"
    )
    poison = Poison(1, 1)
    with pytest.raises(DivergedError, match=message) as caught:
        fit(config, quiet=True, callbacks=[poison], limit_batches=4)
    for row in poison.rows[:8]:
        assert f"row {row}" in str(caught.value)
    kept = run_folder(config)
    assert all(value.isfinite().all() for value in load_checkpoint(kept.last).state_dict.values())
    assert len(kept.metrics.read_text().splitlines()) == 2

    early = tiny(name, run_name="early")
    with pytest.raises(DivergedError, match=r"update 1 \(epoch 0\), .*; no checkpoint was written"):
        fit(early, quiet=True, callbacks=[Poison(0, 0)], limit_batches=4)
    assert not run_folder(early).path.exists()
