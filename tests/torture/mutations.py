"""Damaged and changed files of all kinds: read, or refused in one line; never used with another content."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import zipfile

import yaml
from damage import change_field, damage
from mutations_own import cache, checkpoint, journal, report, state, weights
from predicting import answers, predict, sound
from shop import RUN, TABLE, clean, tree


def image(shop, draw, folder, kind):
    """One damaged image: it is skipped or predicted, and all others have the answers that they had."""
    from PIL import Image

    known = answers(sound(shop) / "made/out.csv")
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
    ending = predict(shop, folder, "data/images")
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
    known = answers(sound(shop) / "made/out.csv")
    shop.data(folder)
    path = folder / f"data/points.{kind.split()[1]}"
    how = damage(path, draw)
    if predict(shop, folder, path.relative_to(folder)).status == 0:
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
