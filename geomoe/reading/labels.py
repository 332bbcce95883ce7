"""Refuse labels that are not one class for each image, and name the task that they are made for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geomoe.errors import DataError
from geomoe.reading.sheets import numbers_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TASK = "geomoe classifies images, one class each"
MULTI_LABEL = f"{TASK}: no multi-label classification"
_LEVELS = 20  # up to this number, different numbers with fractions may be names of classes
_PICTURE = re.compile(r".\.(png|jpe?g|tiff?|gif|bmp|webp|jp2|npy|npz|vrt|shp|geojson)$", re.IGNORECASE)


def check_labels(label: NDArray[Any], path: Path) -> None:
    """Refuse labels with fewer than two classes, and those of other tasks than classification.

    Args:
        label: (N,) text of the usable rows.
        path: the table, for the message.

    Raises:
        DataError: one class, measurements (regression), several labels in a cell for most images
            (multi-label), or names of files (segmentation).
    """
    found = pd.unique(label)  # type: ignore[arg-type]
    where = f"{path}: column label: expected names of classes"
    if len(found) < 2:
        raise DataError(
            f"{path}: column label: expected at least 2 classes; got {', '.join(found) or 'none'}"
        )
    numbers, wrong = numbers_of(pd.Series(found))
    if not wrong.any() and (numbers % 1 != 0).any() and len(found) > min(len(label) / 2, _LEVELS):
        example = found[np.flatnonzero(numbers % 1 != 0)[0]]
        msg = f"{where}; got measurements such as {example}. {TASK}: no regression; give each range a name"
        raise DataError(msg)
    if all(_PICTURE.search(name) for name in found):
        msg = f"{where}; got files such as {found[0]}. {TASK}: no segmentation; give each image a class"
        raise DataError(msg)
    joint = {name for name in found if listed(name)}
    if joint and sum(name in joint for name in label) > len(label) / 2:
        msg = f"{where}; got several in one cell, such as {next(n for n in found if n in joint)!r}."
        raise DataError(f"{msg} {MULTI_LABEL}; keep one label for each image")


def check_cells(column: pd.Series, path: Path) -> None:
    """Refuse a column whose cells hold lists, as Parquet files can.

    Raises:
        DataError: a cell holds a list; the error names the first one.
    """
    if not pd.api.types.is_object_dtype(column):
        return
    for number, value in enumerate(column, 1):
        if isinstance(value, list | tuple | set | dict | np.ndarray):
            cell = ", ".join(map(str, value))
            msg = f"{path}: column label: the cell of row {number} is a list ({cell[:40]}). {MULTI_LABEL}"
            raise DataError(f"{msg}; keep one label for each image")


def listed(name: str) -> list[str]:
    """Return the words of a list in a cell, such as ``a|b`` or ``['a', 'b']``; none if it is no list."""
    inner = name.strip()
    if re.fullmatch(r"[\[({].*[,;|].*[\])}]", inner):  # a list, as Python or JSON writes it
        return split_words(inner[1:-1], r"[,;|]")
    return split_words(inner, r"[|;]")


def split_words(text: str, sign: str) -> list[str]:
    """Return the words between signs; none if there are fewer than two."""
    parts = [part.strip(" '\"") for part in re.split(sign, text)]
    parts = [part for part in parts if part]
    return parts if len(parts) > 1 else []
