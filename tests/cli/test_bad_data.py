"""Every data set, spoilt in every way that happens: one clear line and status 2, or counted and listed."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shutil

import pytest

from geomoe.cli import main
from tests.kinds import first_of_each, reader_of
from tests.samples import write_sample

SMALL = (
    *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--trainer.accelerator", "cpu"),
    *("--data.num_workers", "0", "--output", "runs", "--dry-run", "--quiet"),
)
VIT = (
    *("--model.backbone", "vit_quick", "--model.image_size", "32", "--model.weights", "null"),
    *("--model.num_experts", "3", "--model.top_k", "2", "--encoder.legendre_polys", "4"),
)
OWN = {
    "folder": ("--metadata", "clean.csv", "--model.image_size", "16", "--data.batch_size", "8"),
    "fmow": (
        *(*VIT, "--model.moge_blocks", "3", "--encoder.weights", "null", "--encoder.name", "wrap"),
        *("--data.batch_size", "16"),
    ),
    "iwildcam": (*VIT, "--model.moge_blocks", "3", "--moge.cka_tokens", "2"),
    "rcmnist": ("--data.budget", "60", "--data.batch_size", "6"),
}
OWN["fmow-lao"] = OWN["fmow"]
for _name in ("pacs", "officehome", "terraincognita", "domainnet"):
    OWN[_name] = (*VIT[:6], "--data.batch_size", "30")
#: What of the flags above `geomoe data check` takes, too.
DATA = {"folder": OWN["folder"][:2], "rcmnist": OWN["rcmnist"][:2]}
INSIDE = {"fmow": "fmow_v1.1", "fmow-lao": "fmow_v1.1", "iwildcam": "iwildcam_v2.0", "rcmnist": "MNIST/raw"}


@pytest.fixture
def data(tmp_path_factory):
    """A copy that may be spoilt, outside of the folder that commands run in."""

    def get(name):
        root = tmp_path_factory.mktemp("own") / "data"
        write_sample(name, root)
        return root

    return get


@pytest.fixture
def told(capsys, tmp_path):
    """Run a command that must be refused: status 2, one error, no result, nothing left; the error."""

    def run(*argv):
        capsys.readouterr()
        status = main([str(word) for word in argv])
        out, err = capsys.readouterr()
        assert (status, out) == (2, ""), err
        errors = [line for line in err.splitlines() if line.startswith("geomoe: error: ")]
        assert errors == err.splitlines()[-1:]
        assert all(line.startswith("geomoe: ") for line in err.splitlines())
        assert list(tmp_path.iterdir()) == []
        return errors[0]

    return run


def train(name, root):
    return ("train", name, "--data-root", root, *OWN[name], *SMALL)


def check(name, root):
    return ("data", "check", name, "--data-root", root, "--workers", "1", "--quiet", *DATA.get(name, ()))


def cells(file, change):
    """A damage: rewrite a table; ``change`` gets its rows, the header first."""

    def spoil(folder):
        path = folder / file
        with path.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
        change(rows)
        with path.open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened, lineterminator="\n").writerows(rows)

    return spoil


def content(file, change):
    """A damage: rewrite the bytes of a file."""
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def header(old, new):
    return lambda rows: rows[0].__setitem__(rows[0].index(old), new)


def column(name, value, first=1, last=None):
    def change(rows):
        place = rows[0].index(name)
        for row in rows[first:last]:
            row[place] = value(row) if callable(value) else value

    return change


def again(name):
    def change(rows):
        place = rows[0].index(name)
        for row in rows:
            row.append(row[place])

    return change


def cut(share):
    return lambda whole: whole[: int(len(whole) * share)]


def zeros(whole):
    return whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)


def swapped(rows):
    lon, lat = rows[0].index("lon"), rows[0].index("lat")
    rows[0][lon], rows[0][lat] = "lat", "lon"


def without(pattern, first=0, last=None):
    def spoil(folder):
        found = sorted(folder.glob(pattern))[first:last]
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def emptied(pattern, first=0, last=None):
    return lambda folder: [path.write_bytes(b"") for path in sorted(folder.glob(pattern))[first:last]]


def other_bands(folder):
    for path in sorted((folder / "images").glob("utm*"))[:12]:
        shutil.copy(folder / "images/three bands.tif", path)


def latin(folder):
    kind = next(path for path in sorted((folder / "sketch").iterdir()) if path.is_dir())
    whole = next(kind.glob("*.jpg")).read_bytes()
    with open(os.fsencode(kind) + b"/caf\xe9.jpg", "wb") as file:
        file.write(whole)


def spelled_twice(folder):
    shutil.copytree(folder / "sketch/dog", folder / "sketch/Dog_")


TABLE, CODES, IMAGES = "rgb_metadata.csv", "country_code_mapping.csv", "images/*.png"
META, GPS, PHOTOS = "metadata.csv", "gps_locations.json", "train/*.jpg"
FMOW = [
    ("column", cells(TABLE, header("category", "class")), "Column 'category' .*; expected the columns split"),
    ("type", cells(TABLE, column("lat", "north", 7, 8)), "Row #8: .* invalid value 'north'"),
    ("decimal comma", cells(TABLE, column("lon", "12,5", 7, 8)), "Row #8: .* invalid value '12,5'"),
    ("column twice", cells(TABLE, again("lat")), "has several columns lat; copy the file again"),
    ("half a table", content(TABLE, cut(0.5)), "Row #.*: Expected 15 columns, got .*; copy the file again"),
    ("zero bytes", content(TABLE, zeros), "Row #.*: Expected 15 columns, got "),
    ("no table", content(TABLE, cut(0)), "[Ee]mpty CSV file"),
    ("latin-1", content(TABLE, lambda b: b.replace(b"FRA", b"FR\xe9")), "invalid UTF8 data"),
    ("swapped", cells(TABLE, swapped), "latitude beyond 90 degrees .are lon and lat swapped."),
    (
        "half a mapping",
        content(CODES, lambda b: b[: b.index(b"Europe") + 3]),
        "region: expected one of Asia, .*; ... has 'Eur",
    ),
    (
        "a country twice",
        content(CODES, lambda b: b + b"X,CH,CHN,156,,Europe,,,,,\n"),
        "CHN comes twice, in A",
    ),
    ("no images", without(IMAGES), "no such image, and the table has it: the copy of FMoW is not complete"),
    ("no folder", without("images"), "FMoW is not there: no images/; .* --data-root"),
]
DOMAINS = [
    ("no folder", lambda folder: shutil.rmtree(folder), "is not there: no folder of .* --data-root"),
    ("a domain less", without("*[a-z]*", -1), "no folder of .* .found: .*; the copy is incomplete"),
]
SPOILT = {
    "folder": [
        ("no folder", lambda folder: shutil.rmtree(folder), "data.root: no such folder of images: "),
        ("no table", without("clean.csv"), "data.metadata: no such table: clean.csv"),
        ("column", cells("clean.csv", header("label", "class")), "no column label .columns: filename, class"),
        ("type", cells("clean.csv", column("lon", "ten")), "72 of 72 rows cannot be .* a number of degrees"),
        ("half the images", without("images/*", 0, 40), "rows cannot be used .*: no such image"),
        (
            "zero-byte images",
            emptied("images/*", 0, 40),
            "rows cannot be used .*: the image is empty .0 bytes",
        ),
        (
            "two labels",
            cells("clean.csv", lambda rows: rows.append([rows[1][0], "x", *rows[1][2:]])),
            "images/degrees_00.TIF is listed several times, with the labels crops, irrigated, x",
        ),
        ("swapped", cells("clean.csv", swapped), "the columns lon and lat look swapped"),
        ("mixed bands", other_bands, "has 3 bands: most images have 4; choose some with data.bands"),
        ("latin-1", content("clean.csv", lambda b: b.decode().encode("latin-1")), "line 3 is not in UTF-8"),
        ("zero bytes", content("clean.csv", zeros), "has zero bytes in it: a copy that stopped"),
        (
            "a quote",
            content("clean.csv", lambda b: b.replace(b"images/utm_02", b'"images/utm_02')),
            "line 22: a quote is not where it should be",
        ),
    ],
    "fmow": FMOW,
    "fmow-lao": [
        *FMOW[:2],
        ("no Asia", cells(TABLE, column("country_code", "FRA")), "no row is of region Asia"),
    ],
    "iwildcam": [
        ("no folder", lambda folder: shutil.rmtree(folder), "iwildcam: no metadata.csv in .* --data-root"),
        ("no pictures", without("train"), "has metadata.csv but no train: an incomplete copy"),
        ("column", cells(META, header("y", "label")), "metadata.csv: has no column y; it has "),
        ("column twice", cells(META, again("y")), "metadata.csv: has several columns y; copy it again"),
        ("type", cells(META, column("y", "two", 7, 8)), "line 8: y 'two' is not a whole number"),
        ("a far number", cells(META, column("y", "900000000", 7, 8)), "has no class y = 900000000"),
        (
            "a farther number",
            cells(META, column("y", "1e18", 7, 8)),
            "line 8: y '1e18' is not a whole number",
        ),
        (
            "a far camera",
            cells(META, column("location_remapped", lambda r: "99999999999" if r[2] == "4" else r[2])),
            "location_remapped has no 4 but goes to 99999999999",
        ),
        ("no name", cells(META, column("filename", "", 7, 8)), "line 8: filename '' is empty"),
        (
            "a name twice",
            cells(META, column("filename", "a.jpg", 7, 9)),
            "line 9: filename 'a.jpg' comes twice",
        ),
        ("a cell more", cells(META, lambda rows: rows[7].append("x")), "line 8: a line has too many cells"),
        ("half a line", content(META, lambda b: b[:-90]), "the last line is cut off: it has . of 11 cells"),
        ("zero bytes", content(META, zeros), "metadata.csv: has zero bytes in it: a copy that stopped"),
        (
            "a quote",
            content(META, lambda b: b.replace(b"\n5,", b'\n"5,', 1)),
            "a quote is not where it should",
        ),
        ("half the classes", content("categories.csv", cut(0.5)), "categories.csv: has no class y = "),
        (
            "other cameras",
            content(GPS, lambda b: b'{"9991": {"latitude": 1, "longitude": 2}}'),
            "none of its 1 cameras is one of the 13 of metadata.csv",
        ),
        (
            "a camera twice",
            content(GPS, lambda b: b'{"5": {"latitude": 1, "longitude": 2}, ' + b[1:]),
            "not a file of camera places .ValueError: has the key '5' twice",
        ),
        (
            "half the places",
            content(GPS, cut(0.5)),
            "gps_locations.json: not a file of camera places .JSONDecode",
        ),
        (
            "half a place",
            content(GPS, lambda b: b'{"5": {"latitude": NaN, "longitude": 2}}'),
            "exactly one of lon, lat is missing",
        ),
    ],
    "pacs": [
        *DOMAINS,
        (
            "an empty domain",
            without("sketch/*"),
            "sketch: no images of PACS below it; the copy is incomplete",
        ),
        ("one class", without("*/[!d_]*"), "expected folders of at least 2 classes; got dog alone"),
        ("a class twice", spelled_twice, "'Dog_' and 'dog' are one class; give its folders one name"),
        ("a name", latin, r"sketch/dog/caf\\udce9.jpg': the name is not in UTF-8"),
    ],
    "officehome": DOMAINS,
    "terraincognita": DOMAINS,
    "domainnet": DOMAINS,
    "rcmnist": [
        (
            "no folder",
            lambda folder: shutil.rmtree(folder),
            "there is no train-images-idx3-ubyte or .*gz; data.ro",
        ),
        (
            "half a file",
            content("train-images-idx3-ubyte.gz", cut(0.5)),
            "gz: cannot be read .*; copy the file ag",
        ),
        (
            "zero bytes",
            content("train-images-idx3-ubyte.gz", cut(0)),
            "begins with 00000803; this one with nothing",
        ),
        ("a page", content("train-images-idx3-ubyte.gz", lambda b: b"<html>"), "Not a gzipped file"),
        (
            "half, unpacked",
            lambda f: (f / "train-images-idx3-ubyte").write_bytes(
                gzip.decompress((f / "train-images-idx3-ubyte.gz").read_bytes())[:1000]
            ),
            "should have 627,216 bytes",
        ),
        (
            "no digits",
            content("train-labels-idx1-ubyte", lambda b: b[:4] + bytes(4)),
            "800 images, and its file ",
        ),
    ],
}
CASES = [(name, *case) for name, cases in SPOILT.items() for case in cases]
FIRST = {one.values[0] for one in first_of_each(SPOILT, reader_of) if not one.marks}


def inside(name, root):
    """The folder that damages are done in."""
    if name in INSIDE:
        return root / INSIDE[name]
    folders = [path for path in root.iterdir() if path.is_dir()]
    return root if name == "folder" else folders[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        pytest.param(name, spoil, message, marks=() if name in FIRST else pytest.mark.long)
        for name, _, spoil, message in CASES
    ],
    ids=[f"{name}: {what}" for name, what, _, _ in CASES],
)
def test_training_and_the_check_refuse_it_in_one_line(data, told, name, spoil, message):
    root = data(name)
    spoil(inside(name, root))
    line = told(*train(name, root))
    assert re.search(message, line), line
    assert str(root) in line or "data.metadata" in line
    assert re.search(message, told(*check(name, root)))


@pytest.mark.slow
def test_semicolons_are_read(data, capsys):
    root = data("iwildcam")
    commas = report(capsys, "iwildcam", root)
    content(META, lambda b: b.replace(b",", b";"))(inside("iwildcam", root))
    assert report(capsys, "iwildcam", root) == commas


# --- images that are not there, or not whole ----------------------------------------------------


def report(capsys, name, root, status=0, *more):
    """What ``geomoe data check`` finds."""
    capsys.readouterr()
    assert main([str(word) for word in (*check(name, root), "--json", *more)]) == status
    return json.loads(capsys.readouterr().out)


PICTURES = {"fmow": IMAGES, "iwildcam": PHOTOS, "pacs": "*/[d-h]*/*_00*.*"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_images_that_are_not_whole_are_a_fault_and_listed_one_by_one(name, data, capsys):
    root = data(name)
    sound = report(capsys, name, root)
    assert (sound["sound"], sound["unreadable"]) == (True, [])
    paths = sorted(inside(name, root).glob(PICTURES[name]))[10:60]
    damages = {
        "an empty file (0 bytes)": lambda path, whole: path.write_bytes(b""),
        "cannot read the image (": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
        "not a picture (6 bytes)": lambda path, whole: path.write_bytes(b"<html>"),
        "no such image": lambda path, whole: path.symlink_to("gone"),
    }
    expected = {}
    for number, path in enumerate(paths):
        what = list(damages)[number % len(damages)]
        whole = path.read_bytes()
        path.unlink()
        damages[what](path, whole)
        expected[str(path)] = what
    found = report(capsys, name, root, 1)
    assert found["looked_at"] == sound["looked_at"]
    listed = dict(entry["problem"].split(": ", 1) for entry in found["unreadable"])
    assert len(listed) == len(paths) if name != "fmow" else len(listed) > 20  # some rows are in no split
    for path, problem in listed.items():
        assert problem.startswith(expected[path])
    faults = [finding for finding in found["findings"] if finding["severity"] == "fault"]
    assert [fault["where"] for fault in faults] == ["images"]
    assert f"{len(listed)} of {found['looked_at']} cannot be read; the first: " in faults[0]["what"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", list(first_of_each(["fmow", "fmow-lao", "iwildcam", "pacs"], reader_of)))
def test_training_stops_at_an_image_that_is_not_whole_and_names_it(name, workers, data, told):
    """Also from a process that reads images, whose errors torch wraps in their traceback."""
    root = data(name)
    emptied("*/*/*.*" if name == "pacs" else PICTURES[name.removesuffix("-lao")])(inside(name, root))
    line = told(*train(name, root), "--data.num_workers", workers)
    assert re.search(r"data/.*\.(png|jpg|JPG): an empty file \(0 bytes\); copy it again$", line)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(first_of_each(["fmow", "fmow-lao", "iwildcam"], reader_of)))
def test_a_folder_that_was_copied_by_half_is_told_before_the_first_step(name, data, told, capsys):
    root = data(name)
    folder = inside(name, root)
    images = sorted(folder.glob(PICTURES[name.removesuffix("-lao")]))[20:-20:2]
    for path in images:
        path.unlink()
    line = told(*train(name, root))
    count, total, split = re.search(
        r"the first of (\d+) missing of the (\d+) of split (\w+); the copy", line
    ).groups()
    assert str(folder) in line
    found = report(capsys, name, root, 1)
    gone = {entry["problem"].partition(": ")[0] for entry in found["unreadable"]}
    assert gone <= {str(path) for path in images}
    assert (split, int(total)) == ("train", found["splits"]["train"]["samples"])
    assert 0 < int(count) <= len(gone)
    assert line.partition("error: ")[2].partition(": no such image")[0] in gone


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fmow", "iwildcam", "pacs", "folder", "rcmnist"])
def test_what_archivers_and_notebooks_leave_behind_changes_nothing(name, data, capsys):
    root = data(name)
    folder = inside(name, root)
    before = report(capsys, name, root)
    images = [path for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".tif", ".gz")]
    for place in {folder, images[0].parent}:
        for junk in (".ipynb_checkpoints", "__MACOSX"):
            (place / junk).mkdir(exist_ok=True)
            shutil.copy(images[0], place / junk / f"copy-checkpoint{images[0].suffix}")
        (place / f"._{images[0].name}").write_bytes(b"\0\5\26\7")
        (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert report(capsys, name, root) == before


# --- what is counted, listed or doubted, and goes on --------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "fmow",
            content(TABLE, lambda b: b"".join(b.splitlines(True)[:201])),
            "200 rows, a part of the 523846",
        ),
        (
            "fmow",  # cut off between two lines: nothing but the missing countries shows it
            content(CODES, lambda b: b"".join(b.splitlines(True)[:7])),
            r"does not have the countries of \d+ of 360 rows .\d+ codes., which are of region Other",
        ),
        (
            "iwildcam",
            content(META, lambda b: b"".join(b.splitlines(True)[:150])),
            "149 rows, a part of the 203029",
        ),
        (
            "iwildcam",  # keys are location_remapped: other cameras' places
            content(
                GPS, lambda b: json.dumps({k: {"latitude": 1, "longitude": k} for k in range(13)}).encode()
            ),
            r"only \d of its 13 ids are cameras of metadata.csv: are they those of another release",
        ),
        ("pacs", without("photo/elephant"), "no images of elephant in domain photo"),
        ("pacs", without("*/elephant"), "6 classes of the 7 of PACS"),
        ("pacs", lambda folder: None, "301 images; PACS has 9991: is this a part of it"),
        (
            "pacs",
            lambda folder: shutil.copy(folder / "photo/dog/dog_0000.jpg", folder / "photo/loose.jpg"),
            "photo: 1 file in no class, or no images by their name, left out: loose.jpg",
        ),
        (
            "pacs",
            lambda folder: (folder / "photo/dog/back").symlink_to(folder / "photo"),
            "photo/dog/back: a link to a folder that it lies in, left out",
        ),
        (
            "folder",
            content("clean.csv", lambda b: b.rstrip()[:-30]),
            "1 of 72 rows are left out, listed in .*: the last line is cut off: it has [2-5] of 6 cells",
        ),
        ("folder", without("images/*", 3, 6), "3 of 72 rows are left out, .*: no such image"),
        ("folder", emptied("images/*", 3, 6), "3 of 72 rows are left out, .*: the image is empty .0 bytes"),
    ],
)
def test_what_may_be_meant_is_said_in_the_log(name, spoil, message, data, capsys, caplog):
    root = data(name)
    spoil(inside(name, root))
    report(capsys, name, root)
    assert re.search(message, caplog.text), caplog.text


@pytest.mark.slow
def test_a_circle_of_links_gives_no_image_twice(data, capsys):
    root = data("pacs")
    before = report(capsys, "pacs", root)
    for kind in ("dog", "horse"):
        (root / "PACS/photo" / kind / "up").symlink_to(root / "PACS/photo")
        (root / "PACS/photo" / kind / "self").symlink_to(root / "PACS/photo" / kind)
    assert report(capsys, "pacs", root) == before


@pytest.mark.parametrize(("name", "table"), [("fmow", TABLE), ("iwildcam", META)])
def test_a_split_without_samples_is_refused_before_the_first_step(name, table, data, told):
    root = data(name)
    cells(table, column("split", lambda row: "train"))(inside(name, root))
    assert f"{name}: split val has no samples" in told(*train(name, root))
