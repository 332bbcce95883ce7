"""Detect suspicious but possibly intended classes and splits of an image table; nothing is changed."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.reading.labels import TASK, listed, split_words
from geomoe.support.text import counted, metres_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
#: Separators of joined labels; they count only if the words around them are classes themselves.
_BETWEEN = (r",", r"/", r"\+", r"&", r"\s+and\s+", r":", r"\\", r"\s+-\s+", r"_", r"-", r"\s+")
_WIDE = 1.5  # ratio between the ground that an image covers and the median, from which on it is reported
_MANY = 30  # whole numbers that are more likely measurements than names of classes
_NEAR = 0.7  # similarity above which one word may be a misspelling of the other


def doubts(classes: Sequence[str], label: NDArray[Any], split: NDArray[Any]) -> Iterator[str]:
    """Yield warnings on classes and splits that look misspelled or come from a truncated table.

    Args:
        classes: class names, by id.
        label: (N,) class ids.
        split: (N,) split names.
    """
    yield from alike(classes, "classes")
    measured = _measured(classes)
    if measured is not None:
        yield (
            f"{len(classes)} whole numbers from {measured[0]} to {measured[1]} are one class each; if they "
            f"are measurements such as years or counts, give each range a name: {TASK}, no regression"
        )
    joint = {name: parts for name in classes if (parts := _joint(name, classes))}
    if joint:
        images = sum(int((label == classes.index(name)).sum()) for name in joint)
        yield (
            f"{_quoted(list(joint))} ({counted(images, 'image')}) look like several labels in one cell; "
            "an image has one class here, so each of them trains as a class of its own: keep one label for "
            "each image, or leave these images out (several labels of one image are not learnt)"
        )
    trained = set(label[split == "train"].tolist())
    untrained = [name for number, name in enumerate(classes) if number not in trained]
    if untrained:
        yield f"no training image shows {_quoted(untrained)}"
    for name, count in sorted(Counter(split.tolist()).items()):
        if name not in SPLITS and _is_slip(name):
            counts = counted(count, "image")
            yield f"split {name!r} ({counts}) is none of {', '.join(SPLITS)}: is this a typing error?"


def alike(names: Sequence[str], what: str) -> Iterator[str]:
    """Yield a warning for each group of names that differ in case, spaces, signs or codes of letters alone.

    Args:
        names: different names.
        what: what they name, in the plural.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    for several in groups.values():
        if len(several) > 1:
            yield f"{_quoted(several)} are different {what}{_how(several)}"


def _how(names: list[str]) -> str:
    """Say what nobody can see of names that look the same."""
    same = len({unicodedata.normalize("NFKC", name) for name in names}) < len(names)
    return "; their letters are coded in different ways (Unicode)" if same else ""


def _folded(name: str) -> str:
    """A name without case, spaces, ``_``, ``-`` and letters that are not seen; numbers by their value."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", plain):
        return str(float(plain))
    return "".join(one for one in plain if one not in " _-" and unicodedata.category(one) != "Cf")


def _measured(classes: Sequence[str]) -> tuple[int, int] | None:
    """Return the least and largest of classes that look like measurements; ids are counted from 0 or 1."""
    if len(classes) < _MANY or not all(re.fullmatch(r"-?\d{1,9}", name) for name in classes):
        return None
    numbers = {int(name) for name in classes}
    low, high = min(numbers), max(numbers)
    return None if low in (0, 1) and high - low + 1 == len(numbers) else (low, high)


def ground_doubts(extent: NDArray[np.float64], split: NDArray[Any]) -> Iterator[str]:
    """Yield a warning if images cover very different lengths of ground: all are resized to one size.

    Args:
        extent: (N,) metres of the longer side; NaN where unknown.
        split: (N,) split names.
    """
    known = extent[(split == "train") & ~np.isnan(extent)]
    middle = np.median(known) if len(known) else np.nan
    wide = (known > _WIDE * middle) | (known < middle / _WIDE)
    if wide.any():
        least, most = metres_text(known.min()), metres_text(known.max())
        yield (
            f"{int(wide.sum())} of {counted(len(known), 'training image')} cover more than {_WIDE:g} times "
            f"the ground of the median one ({metres_text(middle)}) or less than 1/{_WIDE:g} of it "
            f"({least} to {most}); all are resized to one size, so objects differ in size"
        )


def _joint(name: str, classes: Sequence[str]) -> list[str]:
    """Return the labels that a class name seems to be made of; none if it is a name of its own.

    A bar, a semicolon or the brackets of a list between words are enough. Signs that occur in names of
    classes (``crops, irrigated``) have to join words that are all classes themselves.
    """
    known = {_plain(one) for one in classes} - {_plain(name)}
    if parts := listed(name):
        return parts
    for sign in _BETWEEN:
        parts = split_words(name.strip(), sign)
        if parts and all(_plain(part) in known for part in parts):
            return parts
    return []


def _plain(name: str) -> str:
    return name.strip().casefold()


def _is_slip(name: str) -> bool:
    """Return whether a name is truncated or misspelled; ``test2`` and ``id_test`` are valid names."""
    near = difflib.get_close_matches(name, SPLITS, 1, _NEAR)
    return any(known.startswith(name) for known in SPLITS) or (name.isalpha() and bool(near))


def _quoted(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
