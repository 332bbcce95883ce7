"""Damaged and changed files of all kinds: read, or refused in one line; never used with another content."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import signal
import time
import zipfile

import yaml
from shop import RUN, TABLE, clean, same, train, tree

PIECES = (
    b"\x00",
    b"\xff" * 4,
    b"{",
    b'"',
    b",",
    b"\n",
    b"-1",
    b"1e999",
    b"nan",
    b"\xf0\x9f",
    b"*a",
    b"%s",
    b"",
)
VALUES = (
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    math.nan,
    "",
    "x",
    "../../x",
    "a\nb",
    "\x1b[2J",
    [],
    {},
    [[1]],
    {"x": 1},
)


def flip(raw, draw):
    """One to eight bits turned."""
    raw = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 8))):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return bytes(raw)


def cut(raw, draw):
    """The beginning only."""
    return raw[: draw.randrange(len(raw))]


def swap(raw, draw):
    """Two pieces of the same length exchanged."""
    length = max(1, min(draw.choice((1, 16, 512)), len(raw) // 3))
    first = draw.randrange(len(raw) - 2 * length + 1)
    second = draw.randrange(first + length, len(raw) - length + 1)
    parts = (raw[:first], raw[second : second + length], raw[first + length : second])
    return b"".join((*parts, raw[first : first + length], raw[second + length :]))


def patch(raw, draw):
    """A piece of something else in the place of some bytes."""
    place = draw.randrange(len(raw))
    return raw[:place] + draw.choice(PIECES) + raw[place + draw.choice((0, 1, 4)) :]


def double(raw, draw):
    """A part twice."""
    first, second = sorted(draw.randrange(len(raw)) for _ in range(2))
    return raw[:second] + raw[first:]


BYTES = (flip, cut, swap, patch, double)


def damage(path, draw):
    """Change the bytes of a file; says how. The file differs afterwards."""
    raw = path.read_bytes()
    while True:
        change = draw.choice(BYTES)
        made = change(raw, draw)
        if made != raw:
            path.write_bytes(made)
            return change.__name__


def _paths(value, path=()):
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def change_field(value, draw):
    """Replace, remove or rename a value inside plain values, in place; says which."""
    path = draw.choice(list(_paths(value)))
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    how = draw.choice(("removed", "renamed", "replaced", "replaced"))
    if how == "removed":
        del inside[path[-1]]
    elif how == "renamed" and isinstance(inside, dict):
        inside[f"{path[-1]}x"] = inside.pop(path[-1])
    else:
        inside[path[-1]] = draw.choice(VALUES)
    return f"{'.'.join(map(str, path))} {how}"


def answers(path):
    """filename -> row of a table of predictions; every number in it is finite."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert math.isfinite(float(row["probability"])), row
    return {row["filename"]: row for row in rows}


def _predict(shop, folder, *given):
    words = ["predict", "--checkpoint", shop.checkpoint, *given, "--output", "made/out.csv", "--quiet"]
    ending = shop.run(words, folder)
    clean(ending)
    if ending.status == 2:
        assert not (folder / "made").exists(), tree(folder / "made")
    return ending


def _sound(shop):
    def make(folder):
        shop.data(folder)
        return shop.must(_words(shop, "data/images"), folder)

    return shop.reference("images", make)[0]


def _words(shop, *given):
    return ["predict", "--checkpoint", shop.checkpoint, *given, "--output", "made/out.csv", "--quiet"]


def image(shop, draw, folder, kind):
    """One damaged image: it is skipped or predicted, and all others have the answers that they had."""
    from PIL import Image

    known = answers(_sound(shop) / "made/out.csv")
    shop.data(folder)
    names = sorted(name for name in known if name.lower().endswith(".tif"))
    chosen = folder / draw.choice(names)
    how = ""
    if kind != "image tif":
        picture = Image.effect_noise((24, 24), 80).convert("RGB")
        target = folder / f"data/images/picture.{kind.split()[1]}"
        picture.save(target)
        chosen = target
    how = damage(chosen, draw)
    ending = _predict(shop, folder, "data/images")
    assert ending.status == 0, ending.err[-500:]
    made = answers(folder / "made/out.csv")
    own = chosen.relative_to(folder).as_posix()
    for name in names:
        assert name == own or made.get(name) == known[name], f"{how} of {own} changed {name}"
    listed = (folder / "made/out.csv.skipped.csv").read_text(encoding="utf-8")
    assert (own in made) != (own in listed), f"{own} is neither answered nor listed, or both"
    return how


def table(shop, draw, folder, kind):
    """A damaged table of images: rows that are whole have the answers that they had."""
    known = answers(_sound(shop) / "made/out.csv")
    shop.data(folder)
    path = folder / f"data/points.{kind.split()[1]}"
    how = damage(path, draw)
    if _predict(shop, folder, path.relative_to(folder)).status == 0:
        for name, row in answers(folder / "made/out.csv").items():
            asked = known.get(name)
            if asked and (row["lon"], row["lat"], row["domain"]) == (
                asked["lon"],
                asked["lat"],
                asked["domain"],
            ):
                assert row == asked, f"{how}: another answer for {name} at the same place"
    return how


def points(shop, draw, folder, kind):
    """A damaged table of points for ``encode``: as many rows out as in, or refused."""
    shop.data(folder)
    path = folder / f"data/points.{kind.split()[1]}"
    how = damage(path, draw)
    words = [
        "encode",
        path,
        "--encoder",
        "sh",
        "--legendre-polys",
        "4",
        "--output",
        "made/out.csv",
        "--quiet",
    ]
    ending = shop.run(words, folder)
    clean(ending)
    assert (folder / "made").exists() == (ending.status == 0)
    if ending.status == 0:
        with (folder / "made/out.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                values = [float(value) for name, value in row.items() if name.startswith("embedding_")]
                assert all(map(math.isfinite, values)), row
    return how


def configuration(shop, draw, folder, kind):
    """A configuration with another field or other bytes: what is printed is what a second reading gives."""
    shop.data(folder)
    path = folder / "c.yaml"
    text = (shop.sound / RUN / "config.yaml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    if kind == "yaml fields":
        value = yaml.safe_load(text)
        how = change_field(value, draw)
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
    else:
        how = damage(path, draw)
    words = ["train", "folder", "--print-config", "--quiet"]
    ending = shop.run([*words, "--config", "c.yaml"], folder)
    assert "Traceback" not in ending.err
    assert ending.status in (0, 2), ending.err[-500:]  # of faults of a configuration each has its line
    if ending.status == 0:
        (folder / "again.yaml").write_text(ending.out, encoding="utf-8")
        again = shop.must([*words, "--config", "again.yaml"], folder)
        assert again.out == ending.out
    assert {path.name for path in folder.iterdir()} <= {"data", "c.yaml", "again.yaml", "caches"}
    return how


def checkpoint(shop, draw, folder, kind):
    """A damaged checkpoint is refused, or answers as the sound one does (a byte that nobody reads)."""
    known = _sound(shop)
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
    known = _sound(shop)
    shop.data(folder)
    shop.run(_words(shop, "data/images", "--batch-size", "4"), folder, kill_after=draw.uniform(0.1, 0.4))
    path = folder / "made/out.csv.partial"
    if not path.exists() or not path.stat().st_size:
        return "killed before or after"
    how = draw.choice((cut, patch))(path.read_bytes(), draw)
    path.write_bytes(how)
    ending = shop.run(_words(shop, "data/images", "--batch-size", "4", "--resume"), folder)
    clean(ending)
    if ending.status == 0:
        assert answers(folder / "made/out.csv").keys() == answers(known / "made/out.csv").keys()
    return f"status {ending.status}"


def archive(shop, draw, folder, kind):
    """An archive with the right hash and damaged inside: unpacked as it was, or refused."""
    if "small archive" not in shop.known:
        source = shop.root / "small"
        shop.must(["data", "sample", "pacs", source / "pacs", "--quiet"], shop.root)
        path = shutil.make_archive(str(shop.root / "small-pacs"), "zip", source / "pacs")
        shop.known["small archive"] = path
    raw = open(shop.known["small archive"], "rb").read()  # noqa: SIM115
    if kind == "zip names":
        raw = renamed(raw, draw)
    path = folder / "pacs.zip"
    path.write_bytes(raw)
    how = damage(path, draw) if kind == "zip bytes" else "a name"
    words = ["data", "download", "pacs", "--data-root", "made", "--url", str(path), "--yes", "--quiet"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ending = shop.run([*words, "--sha256", digest], folder, environment={"GEOMOE_OFFLINE": "0"})
    clean(ending)
    outside = {entry.name for entry in folder.iterdir()} - {"pacs.zip", "made", "caches"}
    assert not outside, outside
    if ending.status == 0 and kind == "zip bytes":
        sound = {hashlib.sha256(inside).hexdigest() for inside in contents(shop.known["small archive"])}
        made = {digest for name, digest in tree(folder / "made").items() if not name.startswith(".")}
        assert made <= sound, f"{how}: content that is in no file of the archive"
    return f"{how}, status {ending.status}"


def contents(path):
    """The bytes of each file in a zip."""
    with zipfile.ZipFile(path) as file:
        return [file.read(info) for info in file.infolist() if not info.is_dir()]


def renamed(raw, draw):
    """The same zip with one name that leads elsewhere, is strange, or comes twice."""
    bad = ("../../x", "/x", "a/../../x", "C:\\x", "x\x01y", "." * 300, "con", "\u202ex", "a//b", "./.")
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w") as new:
        infos = old.infolist()
        chosen = draw.randrange(len(infos))
        for number, info in enumerate(infos):
            name = draw.choice(bad) if number == chosen else info.filename
            new.writestr(name, old.read(info))
    return made.getvalue()


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


def countries(shop, draw, folder, kind):
    """Damaged outlines for ``data check``; status 1 is its word for data with faults."""
    shop.data(folder)
    square = [[[0, 40], [30, 40], [30, 60], [0, 60], [0, 40]]]
    feature = {"type": "Feature", "properties": {"iso_a3": "FRA"}}
    feature["geometry"] = {"type": "Polygon", "coordinates": square}
    value = {"type": "FeatureCollection", "features": [feature]}
    path = folder / "c.geojson"
    path.write_text(json.dumps(value))
    if draw.random() < 0.5:
        how = damage(path, draw)
    else:
        how = change_field(value, draw)
        path.write_text(json.dumps(value), encoding="utf-8")
    words = [
        "data",
        "check",
        "folder",
        *TABLE,
        "--workers",
        "1",
        "--countries",
        "c.geojson",
        "--output",
        "made",
    ]
    ending = shop.run([*words, "--quiet"], folder)
    clean(ending, (0, 1, 2))
    assert "geomoe: error" not in ending.err or ending.status == 2, ending.err[-500:]
    return f"{how}, status {ending.status}"


USES = {
    "image tif": image,
    "image png": image,
    "image jpg": image,
    "image bmp": image,
    "image webp": image,
    "table csv": table,
    "table parquet": table,
    "points csv": points,
    "points parquet": points,
    "yaml bytes": configuration,
    "yaml fields": configuration,
    "checkpoint": checkpoint,
    "report bytes": report,
    "report fields": report,
    "cache index.json": cache,
    "cache pixels.npy": cache,
    "cache rows.npy": cache,
    "journal": journal,
    "zip bytes": archive,
    "zip names": archive,
    "weights": weights,
    "outlines": countries,
    "state of a training": state,
}
KINDS = tuple(USES)


def trial(shop, kind, draw, folder):
    """One mutation."""
    return USES[kind](shop, draw, folder, kind)
