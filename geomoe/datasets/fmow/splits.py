"""Assign the rows of FMoW's table to splits: by WILDS' rules or by a user's index file.

A run writes such an index file (``index.csv.gz``); name it as ``data.protocol`` to reproduce the run's split.
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
_VAL_YEARS = 3  # years before the test years that are used for model selection
_SEED = 111 + 541433  # WILDS' default seed, and the number that its subsample_idxs adds
_TRAIN, _VAL, _TEST, _SEQ = range(len(CSV_SPLITS))


def assign(table: Table, protocol: str = OFFICIAL) -> NDArray[np.int8]:
    """Return the split of each row: position in SPLITS, or UNASSIGNED.

    Args:
        table: all rows.
        protocol: ``official`` (the same as time_after_2016), ``time_after_Y`` for Y in 2002 to 2018,
            ``mixed-to-test`` (WILDS' oracle: rows of later years that no test uses replace half of the
            training rows), or an index file: a .csv or .csv.gz with the columns row and split.

    Raises:
        ConfigError: the protocol or file does not exist.
        DataError: the index file does not match the table.
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
    """Keep half of the training rows and add as many spare rows, drawn in the same way as WILDS."""
    rows = np.flatnonzero(found == train)
    half = len(rows) // 2
    found[rows] = UNASSIGNED
    for candidates, seed in ((np.flatnonzero(spare), _SEED + 2), (rows, _SEED + 3)):
        shuffled = candidates.copy()
        np.random.default_rng(seed).shuffle(shuffled)
        found[shuffled[:half]] = train


def read_index(path: Path, rows: int) -> NDArray[np.int8]:
    """Read the split of each row from a file with the columns row (from 0) and split; ignore other columns.

    Rows that are not listed, or have an empty split, are in no split.

    Raises:
        ConfigError: the file does not exist.
        DataError: the file is not an index, has an unknown or repeated row, or an unknown split.
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
    """Write an index file; equal columns give equal bytes.

    Args:
        path: a .csv.gz file.
        columns: name -> text of each entry; must include ``row`` and ``split``.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    with whole_file(path) as scratch:
        scratch.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
