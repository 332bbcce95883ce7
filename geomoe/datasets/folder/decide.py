"""Decide the split of each image: from the table, or made once by a rule, kept in a file and extended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.datasets.folder.split import (
    LEFT_OUT,
    SHARES,
    made_split,
    make_blocks,
    read_split,
    write_split,
)
from geomoe.datasets.folder.units import buffered, split_units
from geomoe.errors import DataError
from geomoe.support.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.datasets.folder.side_files import SideFiles
    from geomoe.earth.footprints import Footprints
    from geomoe.reading.image_table import Table

log = logging.getLogger(__name__)

#: Other names of the splits that every data set has.
SPLITS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


class Rule(NamedTuple):
    """How images are split.

    Attributes:
        seed: of a split that is made.
        version: 1: blocks of space (0.1.0); 2: neighbours stay together.
        buffer_km: images of train and val within this distance of the next split are left out.
    """

    seed: int = 0
    version: int = 2
    buffer_km: float = 0.0


def decide(
    table: Table, places: Footprints, kind: NDArray[Any], rule: Rule, files: SideFiles, where: Path
) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...]]:
    """Return the split and the unit of resampling of each image, and remarks on the split.

    Args:
        table: the rows, with or without a split.
        places: where the images are.
        kind: (N,) kind of each image (its class and domain); each split gets its share of every kind.
        rule: how a split is made.
        files: side files that keep a split.
        where: the table, for errors.

    Raises:
        DataError: splits without images, or too few units for three splits.
    """
    if table.split is not None:
        split, unit = _given(table.split, where), make_blocks(places.lonlat, table.filename).name
    else:
        split, unit = _kept(table, places, kind, rule, files)
    said = []
    if rule.buffer_km > 0:
        before = split
        split = buffered(split, places, rule.buffer_km)
        counts = {name: int(((before == name) & (split == LEFT_OUT)).sum()) for name in ("train", "val")}
        text = ", ".join(f"{count} of {name}" for name, count in counts.items())
        said.append(f"left out within {rule.buffer_km:g} km of the next split: {text} (data.split_buffer_km)")
        empty = [name for name in SHARES if name not in set(split.tolist())]
        if empty:
            msg = (
                f"data.split_buffer_km: within {rule.buffer_km:g} km no image is left for {', '.join(empty)}"
            )
            raise DataError(f"{where}: {msg}; choose a smaller one")
    if table.split is None and rule.version == 1:
        said.append("split by rule 1 (data.split_version): neighbouring images may be in train and in test")
    return split, unit, tuple(said)


def _given(given: NDArray[Any], where: Path) -> NDArray[Any]:
    """Return the split given by the table, with the usual split names."""
    split = np.array([SPLITS.get(name.lower(), name.lower()) for name in given], dtype=object)
    absent = [name for name in ("train", "val", "test") if name not in set(split)]
    if absent:
        msg = f"{where}: column split: no row says {', '.join(absent)}"
        raise DataError(f"{msg} (it has {', '.join(sorted(set(split)))}); leave it out to have one made")
    return split


def _kept(
    table: Table, places: Footprints, kind: NDArray[Any], rule: Rule, files: SideFiles
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return split and unit of each image from the file that keeps them; new images are added to it."""
    name = f"split-{rule.seed}.csv" if rule.version == 1 else f"split-v{rule.version}-{rule.seed}.csv"
    path = files.find(name)
    earlier = {} if path is None else read_split(path, set(table.filename.tolist()))
    if rule.version == 1:
        split, blocks = made_split(table.filename, places.lonlat, kind, rule.seed, earlier)
        unit, what, how = blocks.name, "block", f" of space of {blocks.side:g} degrees"
    else:
        made = split_units(table.filename, places, kind, (table.group, table.scene), rule.seed, earlier)
        split, unit = made.split, made.unit
        what, how = "unit", f" without contact{f' (blocks of {made.side:g} degrees)' if made.side else ''}"
        if made.cut:
            what, how = "block", f" of {made.side:g} degrees, because everything touches"
    rows = zip(table.filename.tolist(), zip(split.tolist(), unit.tolist(), strict=True), strict=True)
    merged = {**earlier, **dict(rows)}
    if merged != earlier:
        path = files.write(name, lambda scratch: write_split(scratch, merged, safe_csv=files.safe_csv))
        names = [part for part in (*SHARES, LEFT_OUT) if part != LEFT_OUT or (split == LEFT_OUT).any()]
        counts = ", ".join(f"{part} {int((split == part).sum())}" for part in names)
        units = f"{counted(len(set(unit)), what)}{how}"
        log.info("no column split: made one in %s (%s), kept in %s", units, counts, path)
        old = files.find(f"split-{rule.seed}.csv")
        if rule.version != 1 and not earlier and old is not None:
            log.warning("%s: made by rule 1 and not used; data.split_version 1 uses it", old)
    return split, unit
