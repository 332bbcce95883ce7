"""Files of geomoe's own kinds with wrong fields: read, or refused in one line; never another error."""

from __future__ import annotations

import copy
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import geomoe
from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import KEY, read, save_checkpoint
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig, TrainerConfig
from geomoe.datasets.cache.pixels import INDEX, ImageCache, digest
from geomoe.errors import GeomoeError
from geomoe.evaluation import Report, summarize
from geomoe.inference.journal import Journal, _line
from geomoe.training.record import read_record
from geomoe.training.runfolder import RunFolder

DEEP = [1]
for _ in range(300):
    DEEP = [DEEP]
VALUES = (
    *(None, True, -1, 0, 3, 2**70, 1e308, float("nan"), "", "x", "../../x", "a\nb", "\ud83d", "\x1b[2J"),
    *([], {}, [None], ["x"], [[1]], {"x": 1}, [1] * 50, {"a": {"b": "c"}}, DEEP),
)


def places(value, path=()):
    """The path of every value inside plain values."""
    yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(item, (*path, key))


def mutated(value, draw):
    """The same with one value replaced, removed, doubled or renamed."""
    value = copy.deepcopy(value)
    path = draw.choice([path for path in places(value) if path])
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    what, key = draw.randrange(6), path[-1]
    if what == 0:
        del inside[key]
    elif what == 1 and isinstance(inside, dict):
        inside[f"{key}x"] = inside.pop(key)
    elif what == 1 or (what == 2 and isinstance(inside, list)):
        inside.append(copy.deepcopy(inside[key]))
    else:
        inside[key] = copy.deepcopy(draw.choice(VALUES))
    return value


def hold(use, count, make, seed=0):
    """Use many mutations; each works or is refused in one line. Gives how many were refused."""
    draw, refused = random.Random(seed), 0
    for number in range(count):
        made = make(draw)
        try:
            use(made)
        except GeomoeError as error:
            refused += 1
            if not str(error).strip():
                raise AssertionError(f"mutation {number}: a refusal without a word") from error
        except Exception as error:
            raise AssertionError(f"mutation {number}: {type(error).__name__}: {error}") from error
    return refused


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")
    return path


PART = {"macro_f1": 0.2, "calibration_error": 0.1, "accuracy_interval": [0.1, 0.9], "macro_f1_interval": None}
PART |= {"count": 10, "blocks": 10, "accuracy": 0.5}
SCORES = {
    "overall": PART,
    "worst": "art",
    "regions": {"art": PART, "photo": PART},
    "source": None,
    "source_worst": None,
    "held_out": None,
    "reliability": {"edges": [0, 1], "count": [10], "confidence": [0.5], "accuracy": [0.5]},
}
REPORT = {
    "format": 1, "checkpoint": "x", "algorithm": "erm", "seed": 0, "data": "bluemarble", "data_hash": "abc",
    "split": "test", "split_seed": 0, "held_out": None, "experts": "all", "classes": ["a", "b"],
    "regions": ["art", "photo"], "bootstrap": {"samples": 0, "confidence": 0.95, "unit": "sample"},
    "scores": {"all": SCORES},
}  # fmt: skip
RUN = {
    "seed": 0,
    "data": {"name": "bluemarble", "hash": "abc", "held_out": None, "split_seed": 0, "samples": {"train": 3},
             "unknown_places": {"train": 0}},
    "device": "1 x cpu", "versions": {"geomoe": "1"},
    "starts": [{"time": "2025-01-01", "command": ["geomoe"], "git_commit": None, "device": "1 x cpu",
                "versions": {"geomoe": "1"}}],
}  # fmt: skip


@pytest.mark.slow
def test_reports(tmp_path):
    file = tmp_path / "report.json"
    Report.load(write_json(file, REPORT)).table(80)

    def use(value):
        write_json(file, value)
        Report.load(file).table(80)
        summarize([file]).table(80)

    assert hold(use, 400, lambda draw: mutated(REPORT, draw)) > 100


def test_records(tmp_path):
    file = tmp_path / "run.json"
    assert read_record(write_json(file, RUN)) == RUN
    assert hold(lambda value: read_record(write_json(file, value)), 150, lambda draw: mutated(RUN, draw)) > 50


@pytest.mark.slow
def test_configurations_of_runs(tmp_path):
    folder, plain = RunFolder(tmp_path), RunConfig().as_dict()

    def use(value):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(value), encoding="utf-8", errors="surrogatepass")
        folder.read_config().as_dict()

    use(plain)
    assert hold(use, 60, lambda draw: mutated(plain, draw)) > 20


def test_text_that_is_damaged(tmp_path):
    """Bytes changed, left out and cut, in every kind of text file."""
    texts = (json.dumps(REPORT), json.dumps(RUN), yaml.safe_dump(RunConfig().as_dict()))
    kinds = ("report.json", "run.json", "config.yaml")
    uses = (Report.load, read_record, lambda path: RunFolder(path.parent).read_config())

    def make(draw):
        kind = draw.randrange(3)
        raw = bytearray(texts[kind].encode())
        for _ in range(draw.randrange(1, 4)):
            raw[draw.randrange(len(raw))] = draw.choice(b'\x00\xff{}[]",:0-e\n')
        return kind, bytes(raw[: draw.randrange(len(raw))] if draw.random() < 0.2 else raw)

    def use(made):
        kind, raw = made
        file = tmp_path / kinds[kind]
        file.write_bytes(raw)
        uses[kind](file)

    assert hold(use, 120, make) > 60


def test_caches(tmp_path):
    rows, pixels = np.arange(4), np.zeros((4, 3, 2, 2), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "pixels.npy", pixels)
    import hashlib

    index = {
        "images": 4, "rows_sha256": hashlib.sha256(rows.data).hexdigest(), "shape": [3, 2, 2],
        "dtype": "uint8", "image_size": 2, "image_key": "x", "chunk": 3, "unreadable": [[1, "gone"]],
        "chunks_sha256": [hashlib.sha256(part.tobytes()).hexdigest() for part in (pixels[:3], pixels[3:])],
    }  # fmt: skip

    def use(value):
        if isinstance(value, dict) and "sha256" not in value:
            try:
                value = {**value, "sha256": digest(value)}  # one that fits, as an attacker would write
            except RecursionError:
                value = {**value, "sha256": "x"}
        write_json(tmp_path / INDEX, value)
        cache = ImageCache(tmp_path)
        cache.verify()
        cache.positions(rows)

    use(index)
    assert hold(use, 150, lambda draw: mutated(index, draw)) > 50


def test_journals(tmp_path):
    output = tmp_path / "out.csv"
    lines = [
        {"key": "k"},
        {"i": 0, "at": [1.0, 2.0], "p": [0.5, 0.5], "w": [], "v": [1]},
        {"i": 1, "error": "x"},
    ]

    def use(value):
        # with a checksum that is right: what a line says is looked at too
        text = "".join(_line(line) if isinstance(line, dict) and line else f"{line}\n" for line in value)
        Path(f"{output}.partial").write_text(text, encoding="utf-8", errors="surrogatepass")
        with Journal(output, "k", resume=True) as journal:
            for record in journal.in_order():
                assert {"at", "p", "w", "v"} <= record.keys() or "error" in record
                assert record["i"] in journal.done

    use(lines)
    hold(use, 150, lambda draw: mutated(lines, draw))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An untrained network of the embedded data as a checkpoint, and what the file holds."""
    module = build_datamodule(RunConfig())
    module.prepare_data()
    module.setup("fit")
    config = replace(
        RunConfig(),
        encoder=EncoderConfig(legendre_polys=4, out_dim=16),
        model=ModelConfig(num_experts=2, top_k=1),
    )
    info = {**module.info(), "held_out": None}
    path = save_checkpoint(
        tmp_path_factory.mktemp("sound") / "x.ckpt", build_network(config, info), config, info
    )
    return read(path)


@pytest.mark.slow
def test_facts_and_configuration_in_checkpoints(trained, tmp_path):
    path = tmp_path / "x.ckpt"
    plain = {**trained[KEY], "info": {**trained[KEY]["info"], "places": {"lon": [1.0], "lat": [2.0]}}}
    images, lonlat = torch.zeros(1, 3, 32, 32), torch.tensor([[1.0, 2.0]], dtype=torch.float64)

    def use(value):
        torch.save({**trained, KEY: value}, path)
        predictor = geomoe.load(path, "cpu")
        predictor.predict(images, lonlat)

    use(plain)
    assert hold(use, 60, lambda draw: mutated(plain, draw)) > 20


def test_a_checkpoint_that_repeats_itself(trained, tmp_path, monkeypatch):
    """References in a pickle: a few bytes that stand for 2**60 values."""
    monkeypatch.setattr("geomoe.checkpoint.MOST_VALUES", 10_000)
    bomb = [0]
    for _ in range(60):
        bomb = [bomb, bomb]
    path = tmp_path / "x.ckpt"
    for key in ("config", "info"):
        torch.save({**trained, KEY: {**trained[KEY], key: {**trained[KEY][key], "x": bomb}}}, path)
        with pytest.raises(GeomoeError, match="holds more than"):
            geomoe.load(path, "cpu")


@pytest.mark.slow
@pytest.mark.long
def test_states_of_a_training(tmp_path):
    from geomoe.training import fit

    data = DataConfig(batch_size=64)
    config = RunConfig(
        algorithm="erm",
        output=str(tmp_path / "runs"),
        data=data,
        trainer=TrainerConfig(max_epochs=1, loggers=()),
    )
    run = fit(config, limit_batches=1, quiet=True)
    whole = torch.load(run.last, weights_only=True)
    (run.folder / "done").unlink()
    kept = shutil.copytree(run.folder, tmp_path / "kept")
    state = {
        name: value for name, value in whole.items() if name not in {"state_dict", KEY, "optimizer_states"}
    }

    def use(value):
        shutil.rmtree(run.folder, ignore_errors=True)
        shutil.copytree(kept, run.folder)
        torch.save({**whole, **dict.fromkeys(state), **value}, run.last)
        fit(config, resume=True, limit_batches=1, quiet=True)

    hold(use, 8, lambda draw: mutated(state, draw))
