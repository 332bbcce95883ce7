"""Damaged and changed files of geomoe's own kinds and weights."""

from __future__ import annotations

import json
import shutil
import signal
import time

from damage import change_field, cut, damage, patch
from predicting import answers, sound, words
from shop import RUN, TABLE, clean, same, train


def checkpoint(shop, draw, folder, kind):
    """A damaged checkpoint is refused, or answers as the sound one does (a byte that nobody reads)."""
    known = sound(shop)
    shop.data(folder)
    shutil.copy(shop.checkpoint, folder / "x.ckpt")
    how = damage(folder / "x.ckpt", draw)
    words = ["predict", "--checkpoint", "x.ckpt", "data/images", "--output", "made/out.csv", "--quiet"]
    ending = shop.run(words, folder)
    clean(ending)
    if ending.status == 0:
        same(folder / "made", known / "made", f"a checkpoint after {how}")
    else:
        assert not (folder / "made").exists()
    return f"{how}, status {ending.status}"


def state(shop, draw, folder, kind):
    """``--resume`` from a damaged last.ckpt is refused, or the run ends with the weights that it had."""

    def make(reference):
        shop.data(reference)
        shutil.copytree(reference, reference / "begun")
        shop.must(train(epochs=6), reference)
        pid = shop.start(train(epochs=6), reference / "begun")
        while not (reference / "begun" / RUN / "checkpoints/last.ckpt").exists():
            time.sleep(0.01)
        return shop.wait(pid, reference / "begun", kill_after=0)

    sound, ending = shop.reference("state", make)
    assert ending.status == -signal.SIGKILL
    shutil.copytree(sound / "begun", folder, dirs_exist_ok=True)
    how = damage(folder / RUN / "checkpoints/last.ckpt", draw)
    ending = shop.run(train("--resume", epochs=6), folder)
    clean(ending)
    if ending.status == 0:
        same(folder / "runs", sound / "runs", f"a run resumed after {how}")
    return f"{how}, status {ending.status}"


def report(shop, draw, folder, kind):
    """A report with another field or other bytes."""

    def make(reference):
        shop.data(reference)
        return shop.must(
            ["evaluate", "--checkpoint", shop.checkpoint, "--output", "made", "--quiet"], reference
        )

    sound = shop.reference("report", make)[0] / "made/report.json"
    path = folder / "report.json"
    shutil.copy(sound, path)
    if kind == "report fields":
        value = json.loads(path.read_text(encoding="utf-8"))
        how = change_field(value, draw)
        path.write_text(json.dumps(value), encoding="utf-8")
    else:
        how = damage(path, draw)
    ending = shop.run(["summarize", "report.json", "--output", "made", "--json", "--quiet"], folder)
    clean(ending)
    assert (folder / "made").exists() == (ending.status == 0)
    if ending.status == 0:
        json.loads(ending.out)
    return f"{how}, status {ending.status}"


def same_value(first, second):
    """Whether two JSON texts say the same, each key once."""

    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        return json.loads(first, object_pairs_hook=once) == json.loads(second)
    except (ValueError, AssertionError, RecursionError):
        return False


def cache(shop, draw, folder, kind):
    """A damaged cache is noticed by ``data cache``; what goes on with it makes the cache that it was."""

    def make(reference):
        shop.data(reference)
        return shop.must(words, reference)

    words = ["data", "cache", "folder", *TABLE, "--workers", "1", "--model.image_size", "16", "--quiet"]
    sound = shop.reference("cache made", make)[0]
    shop.data(folder)
    shutil.copytree(sound / "caches", folder / "caches")
    name = kind.split()[1]
    (path,) = (folder / "caches").rglob(name)
    before = path.read_bytes()
    how = damage(path, draw)
    if kind.endswith(".json") and same_value(path.read_bytes(), before):
        how, _ = f"{how} of spaces", path.write_bytes(before)
    ending = shop.run(words, folder)
    clean(ending)
    if ending.status == 0:
        same(folder / "caches", sound / "caches", f"a cache after {how} of {name}")
    return f"{how}, status {ending.status}"


def journal(shop, draw, folder, kind):
    """Answers that ``predict --resume`` goes on with: damaged lines are asked again or refused."""
    known = sound(shop)
    shop.data(folder)
    shop.run(words(shop, "data/images", "--batch-size", "4"), folder, kill_after=draw.uniform(0.1, 0.4))
    path = folder / "made/out.csv.partial"
    if not path.exists() or not path.stat().st_size:
        return "killed before or after"
    how = draw.choice((cut, patch))(path.read_bytes(), draw)
    path.write_bytes(how)
    ending = shop.run(words(shop, "data/images", "--batch-size", "4", "--resume"), folder)
    clean(ending)
    if ending.status == 0:
        assert answers(folder / "made/out.csv").keys() == answers(known / "made/out.csv").keys()
    return f"status {ending.status}"


def weights(shop, draw, folder, kind):
    """A damaged safetensors file as the weights of an encoder."""
    import torch
    from safetensors.torch import save_file

    path = folder / "w.safetensors"
    generator = torch.Generator().manual_seed(0)
    save_file({"a": torch.rand(64, generator=generator), "b": torch.rand(8, 8, generator=generator)}, path)
    how = damage(path, draw)
    (folder / "p.csv").write_text("lon,lat\n1,2\n")
    words = [
        "encode",
        "p.csv",
        "--encoder",
        "geoclip",
        "--weights",
        "w.safetensors",
        "--output",
        "made/o.csv",
    ]
    ending = shop.run([*words, "--quiet"], folder)
    clean(ending, (2,))
    assert not (folder / "made").exists()
    return how
