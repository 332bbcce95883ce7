"""Tables of a million rows with one broken one: its number, every other row, and bounded memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not Path("/proc/self/status").is_file(), reason="the peak of memory is read from /proc"
    ),
]
MANY = 1_000_000
BROKEN = 777_776  # counted from 0
#: Runs in a process of its own: reads, and tells what came of it and the most memory that it had.
READ = """
import json, sys
from pathlib import Path
from geomoe.errors import GeomoeError
try:
    {read}
except GeomoeError as error:
    told = {{"error": str(error)}}
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({{**told, "megabytes": int(peak) / 1000}}))
"""
FOLDER = """
    from geomoe.reading.image_table import read_table
    found = read_table(Path(sys.argv[1]) / "t.csv")
    rows = [0, 777_775, 777_776, 999_998]
    told = {"skipped": found.skipped, "total": found.total, "kept": len(found.filename)}
    told["rows"] = [[found.filename[k], *found.lonlat[k].tolist(), int(found.row[k])] for k in rows]
    told["sums"] = [*found.lonlat.sum(axis=0).tolist(), len(set(found.label))]
""".strip()
FMOW = """
    from geomoe.datasets.fmow.tables import read_table
    table = read_table(Path(sys.argv[1]))
    told = {"rows": len(table.label), "sums": table.lonlat.sum(axis=0).tolist()}
""".strip()
IWILDCAM = """
    from geomoe.datasets.iwildcam.tables import read_table
    table = read_table(Path(sys.argv[1]))
    told = {"rows": len(table.label), "sums": [int(table.label.sum()), int(table.sequence.sum())]}
""".strip()


def ask(read, folder):
    code = READ.format(read=read)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def write(path, head, row, broken=None):
    """A table of MANY rows, by a rule; ``broken`` changes the cells of the one at BROKEN."""
    with path.open("w", encoding="utf-8") as file:
        file.write(head + "\n")
        for number in range(MANY):
            cells = row(number)
            if number == BROKEN and broken is not None:
                cells[broken[0]] = broken[1]
            file.write(",".join(map(str, cells)) + "\n")


def place(number):
    return number * 7919 % 360_000 / 1000 - 180, number * 104_729 % 170_000 / 1000 - 85


def image(number):
    name, note = f"images/{number // 1000:04d}/tile_{number:07d}.tif", "PROJCS[a text that nobody reads]"
    return [name, f"class {number % 62}", *place(number), note]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ((2, "north"), "lon is not a number of degrees: north"),
        ((3, "7,more"), "a line has too many cells: images/0777/tile_0777776.tif,class 48,"),
    ],
)
def test_a_table_of_images_leaves_out_that_row_alone(tmp_path, broken, reason):
    write(tmp_path / "t.csv", "filename,label,lon,lat,note", image, broken)
    told = ask(FOLDER, tmp_path)
    ((row, _, why),) = told["skipped"]
    assert row == BROKEN + 1
    assert why.startswith(reason)
    assert (told["total"], told["kept"]) == (MANY, MANY - 1)
    kept = [0, BROKEN - 1, BROKEN + 1, MANY - 1]
    assert told["rows"] == [[*image(k)[:1], *place(k), k + 1] for k in kept]
    sums = np.sum(place(np.delete(np.arange(MANY), BROKEN)), axis=1)
    np.testing.assert_allclose(told["sums"][:2], sums, rtol=1e-9)
    assert told["sums"][2] == 62
    assert told["megabytes"] < 1200  # of a file of 100 MB


def fmow(number):
    lon, lat = place(number)
    return ["train", "airport", "FRA", f"2010-05-17T08:{number % 60:02d}:00.5Z", lat, lon]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (None, None),
        ((4, "north"), "Row #777778: .* invalid value 'north'; the header is row 1"),
        (
            (1, "castle"),
            "category: expected one of 62 names .*; row 777778 has 'castle' .the header is row 1",
        ),
    ],
)
def test_fmow_names_the_row(tmp_path, broken, message):
    write(tmp_path / "rgb_metadata.csv", "split,category,country_code,timestamp,lat,lon", fmow, broken)
    (tmp_path / "country_code_mapping.csv").write_text("alpha-3,region\nFRA,Europe\n")
    told = ask(FMOW, tmp_path)
    if broken is None:
        assert told["rows"] == MANY
        np.testing.assert_allclose(told["sums"], np.sum(place(np.arange(MANY)), axis=1), rtol=1e-9)
    else:
        assert re.search(message, told["error"])
    assert told["megabytes"] < 1000


def picture(number):
    camera = number % 300
    time = f"2013-06-02 10:{number // 60 % 60:02d}:{number % 60:02d}.000"
    return ["train", time, f"{number:07d}.jpg", camera, camera + 7, number // 10, number % 9]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "message"),
    [(None, None), ((6, "two"), "line 777778: y 'two' is not a whole number of 0 or more (1 such rows)")],
)
def test_iwildcam_names_the_line(tmp_path, broken, message):
    head = "split,datetime,filename,location_remapped,location,sequence_remapped,y"
    write(tmp_path / "metadata.csv", head, picture, broken)
    (tmp_path / "categories.csv").write_text("y,name\n" + "".join(f"{y},class {y}\n" for y in range(9)))
    told = ask(IWILDCAM, tmp_path)
    if broken is None:
        numbers = np.arange(MANY)
        assert told["rows"] == MANY
        assert told["sums"] == [int((numbers % 9).sum()), int((numbers // 10).sum())]
    else:
        assert message in told["error"]
    assert told["megabytes"] < 1500
