"""Which row of FMoW's table is in which split: WILDS' rules, and index files of one's own.

The files that a run leaves (``index.csv.gz``) are index files too: a run's split can be had back by naming
its file as ``data.protocol``.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomoe.datasets.fmow.tables import CSV_SPLITS
from geomoe.errors import ConfigError, DataError, one_line
from geomoe.fetching.unpack import gunzip
from geomoe.support.files import whole_file
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.datasets.fmow.tables import Table

SPLITS = ("train", "id_val", "id_test", "val", "test")
OFFICIAL = "official"
UNASSIGNED = -1
_VAL_YEARS = 3  # of the years before the test years, kept for selection
_SEED = 111 + 541433  # WILDS' default seed, and the number that its subsample_idxs adds
_TRAIN, _VAL, _TEST, _SEQ = range(len(CSV_SPLITS))


def assign(table: Table, protocol: str = OFFICIAL) -> NDArray[np.int8]:
    """Split of each row: position in SPLITS, or UNASSIGNED.

    Args:
        table: all rows.
        protocol: ``official`` (the same as time_after_2016), ``time_after_Y`` for Y in 2002 to 2018,
            ``mixed-to-test`` (WILDS' oracle: half of the training rows are replaced by rows of the later
            years that no test uses), or an index file: a .csv or .csv.gz with the columns row and split.

    Raises:
        ConfigError: no such protocol or file.
        DataError: an index file that does not fit the table.
    """
    if protocol.endswith((".csv", ".csv.gz")):
        return read_index(Path(protocol).expanduser(), len(table.split))
    year = _first_test_year(protocol)
    train, id_val, id_test, val, test = range(len(SPLITS))
    late = table.time >= np.datetime64(f"{year}-01-01")
    middle = ~late & (table.time >= np.datetime64(f"{year - _VAL_YEARS}-01-01"))
    early = ~(late | middle)
    found = np.full(len(table.split), UNASSIGNED, dtype=np.int8)
    found[early & (table.split == _TRAIN)] = train
    if protocol == "mixed-to-test":
        _mix(found, ~early & (table.split != _TEST), train)
    found[early & (table.split == _VAL)] = id_val
    found[early & (table.split == _TEST)] = id_test
    found[middle & (table.split == _VAL)] = val
    found[late & (table.split == _TEST)] = test
    found[table.split == _SEQ] = UNASSIGNED
    return found


def _first_test_year(protocol: str) -> int:
    if protocol in (OFFICIAL, "mixed-to-test"):
        return 2016
    match = re.fullmatch(r"time_after_(\d{4})", protocol)
    if match and 2002 <= int(match[1]) <= 2018:
        return int(match[1])
    known = [OFFICIAL, "time_after_2016", "mixed-to-test"]
    msg = (
        f"data.protocol: fmow has no protocol {protocol!r}{nearest(protocol, known)}; expected official, "
        "time_after_Y (Y from 2002 to 2018), mixed-to-test, or an index file (.csv, .csv.gz)"
    )
    raise ConfigError(msg)


def _mix(found: NDArray[np.int8], spare: NDArray[np.bool_], train: int) -> None:
    """Half of the training rows, and as many of the spare ones, drawn as WILDS draws them."""
    rows = np.flatnonzero(found == train)
    half = len(rows) // 2
    found[rows] = UNASSIGNED
    for candidates, seed in ((np.flatnonzero(spare), _SEED + 2), (rows, _SEED + 3)):
        shuffled = candidates.copy()
        np.random.default_rng(seed).shuffle(shuffled)
        found[shuffled[:half]] = train


def read_index(path: Path, rows: int) -> NDArray[np.int8]:
    """Split of each row from a file with the columns row (counted from 0) and split; others are ignored.

    Rows that are not listed, or whose split is empty, are in none.

    Raises:
        ConfigError: no such file.
        DataError: not such a file, a row that the table does not have or that comes twice, an unknown split.
    """
    if not path.is_file():
        msg = f"data.protocol: {path}: no such index file; expected a .csv or .csv.gz with columns row, split"
        raise ConfigError(msg)
    found, seen = np.full(rows, UNASSIGNED, dtype=np.int8), np.zeros(rows, dtype=bool)
    codes = {name: number for number, name in enumerate(SPLITS)} | {"": UNASSIGNED}
    for line, entry in enumerate(csv.DictReader(_text(path)), start=2):
        row, split = entry.get("row") or "", entry.get("split")
        if not row.isdecimal() or int(row) >= rows or split not in codes or seen[int(row)]:
            msg = (
                f"{path}: line {line}: expected row (0 to {rows - 1}, each once) and split "
                f"({', '.join(SPLITS)} or empty); got row {row!r}, split {split!r}"
            )
            raise DataError(msg)
        found[int(row)], seen[int(row)] = codes[split], True
    return found


def _text(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        content = gunzip(content, path) if path.suffix == ".gz" else content
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as an index file ({one_line(error)}); write it again"
        raise DataError(msg) from error


def write_index(path: Path, columns: dict[str, list[str]]) -> None:
    """Write an index file: the same columns give the same bytes.

    Args:
        path: a .csv.gz file.
        columns: name -> text of each entry; ``row`` and ``split`` among them.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    with whole_file(path) as scratch:
        scratch.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
