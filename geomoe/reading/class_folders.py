"""Read folders of images as a table: each folder is a class and has its name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomoe.errors import DataError
from geomoe.reading.image_table import Table
from geomoe.reading.raster import SUFFIXES
from geomoe.reading.sheets import SUFFIXES as TABLES
from geomoe.reading.skips import Skip, refuse_many
from geomoe.support.text import counted, is_utf8, visible, why_not_utf8
from geomoe.support.walking import walk

if TYPE_CHECKING:
    from collections.abc import Iterable

SPLITS = ("train", "val", "test")
#: Names of folders that are splits in common layouts; folders that have only these names are not classes.
_SPLIT_WORDS = frozenset((*SPLITS, "valid", "validation", "training", "testing", "eval", "dev"))
_JUNK = ("__MACOSX",)
#: Pairs of a file that geomoe writes and a figure next to it; such figures are no data.
_OURS = (("report.json", "confusion.png"), ("experts.json", "experts.tif"))


def class_folders(folder: Path, *, allow_vrt: bool = False) -> Table:
    """List the images below a folder with one folder for each class, at any depth inside it.

    Folders that are called exactly train, val and test hold class folders themselves, and are splits.

    Args:
        folder: the folder of the class folders.
        allow_vrt: whether ``.vrt`` files are images.

    Returns:
        A table with ``filename`` relative to the folder, ``label``, and ``split`` if the folders define it.
        Images in no class folder, and links that lead out of the folder, are listed as skipped.

    Raises:
        DataError: fewer than two class folders, only some of the splits, or too many files that cannot be
            used.
    """
    suffixes = tuple(end for end in SUFFIXES if allow_vrt or end != ".vrt")
    found = walk(
        folder,
        lambda name: name.lower().endswith(suffixes),
        within=True,
        ignored=lambda name: name.startswith(".") or name in _JUNK,
    )
    skipped = [Skip(0, visible(_below(path, folder)), reason) for path, reason in found.left_out]
    names = sorted(_below(path, folder) for path in found.files)
    ours = {above for above in {name.rpartition("/")[0] for name in names} if _is_ours(folder / above)}
    figures = [name for name in names if name.rpartition("/")[0] in ours]
    skipped += [
        Skip(0, visible(name), "of a report or map of geomoe; move its folder out") for name in figures
    ]
    names = [name for name in names if name.rpartition("/")[0] not in ours]
    parted = _has_splits(folder, names)
    rows: list[tuple[str, str, str]] = []
    for name in names:
        parts = name.split("/")
        if not is_utf8(name):
            skipped.append(Skip(0, visible(name), why_not_utf8(name)))
        elif len(parts) < 2 + parted:
            skipped.append(Skip(0, name, "lies in no class folder"))
        else:
            rows.append((name, parts[parted], parts[0]))
    _refuse_few({label for _, label, _ in rows}, folder, names)
    refuse_many(skipped, len(rows) + len(skipped), folder)
    return _table(rows, skipped, parted=parted)


def says(table: Table, folder: Path) -> str:
    """Describe in one line how the folders were read as classes and splits."""
    counts = Counter(table.label.tolist() if table.label is not None else ())
    shown = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())[:10])
    more = f", and {len(counts) - 10} more" if len(counts) > 10 else ""
    splits = "" if table.split is None else "; the folders train, val and test are the splits"
    made = f"{len(counts)} classes by the names of its folders, {counted(len(table.filename), 'image')}"
    return f"{folder}: no table was given; {made}: {shown}{more}{splits}"


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds a report or a map of geomoe."""
    return any(all((folder / name).is_file() for name in names) for names in _OURS)


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _has_splits(folder: Path, names: Iterable[str]) -> bool:
    """Return whether the folders at the top are train, val and test.

    Raises:
        DataError: they have other names of splits, which make no sense as classes.
    """
    top = {name.partition("/")[0] for name in names if "/" in name}
    if top and {name.lower() for name in top} <= _SPLIT_WORDS:
        if top != set(SPLITS):
            msg = f"{folder}: its folders look like splits ({', '.join(sorted(top))}), not like classes; name"
            raise DataError(f"{msg} them train, val and test, or put all class folders in one folder")
        return True
    return False


def _refuse_few(classes: set[str], folder: Path, names: list[str]) -> None:
    if len(classes) > 1:
        return
    held = "no image" if not names else counted(len(names), "image")
    one = f"one folder of images alone, {next(iter(classes))}" if classes else "no class folder"
    found = f"found {held} and {one}"
    tables = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in TABLES)
    advice = f"give --metadata {tables[0]}" if tables else "give --metadata FILE, a table of the images"
    msg = f"{folder}: without a table, expected a folder of images for each of at least 2 classes"
    raise DataError(f"{msg}; {found}; {advice}")


def _table(rows: list[tuple[str, str, str]], skipped: list[Skip], *, parted: bool) -> Table:
    columns = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
    nothing = dict.fromkeys(("lonlat", "domain", "country", "group", "scene", "timestamp"))
    return Table(
        **nothing,  # type: ignore[arg-type]
        filename=columns[0],
        label=columns[1],
        split=columns[2] if parted else None,
        row=np.zeros(len(rows), dtype=np.int64),
        skipped=skipped,
        total=len(rows) + len(skipped),
    )
