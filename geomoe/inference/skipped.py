"""The list of images without a prediction, next to an output."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from geomoe.inference.journal import GO_ON, Journal
from geomoe.inference.tiles import Item
from geomoe.reading.skips import Skip
from geomoe.support.cells import safe_cell
from geomoe.support.files import whole_file

EMPTY_TILE = "the tile holds no data"


def skipped_of(items: Sequence[Item], journal: Journal) -> list[Skip]:
    """Return the requested images that could not be read."""
    faults = [record for record in journal.records() if record.get("error", EMPTY_TILE) != EMPTY_TILE]
    return [Skip(0, items[fault["i"]].name, _where(items[fault["i"]]) + fault["error"]) for fault in faults]


def _where(item: Item) -> str:
    return "" if item.window is None else f"tile at column {item.window[0]}, row {item.window[1]}: "


def write_skipped(skipped: list[Skip], output: Path, *, safe_csv: bool) -> tuple[Path, ...]:
    """List skipped images next to the output; remove an old list if nothing was skipped."""
    path = list_of_skipped(output)
    if not skipped:
        path.unlink(missing_ok=True)
        return ()
    with whole_file(path, GO_ON) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("filename", "reason"))
        kept = safe_cell if safe_csv else str
        rows.writerows((kept(skip.filename), kept(_located(skip))) for skip in skipped)
    return (path,)


def list_of_skipped(output: Path) -> Path:
    """Return the path of the list of images that are missing in an output."""
    return output.with_name(f"{output.name}.skipped.csv")


def _located(skip: Skip) -> str:
    return f"row {skip.row}: {skip.reason}" if skip.row else skip.reason
