"""Detect suspicious but possibly intended classes and splits of an image table; nothing is changed."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
_NEAR = 0.7  # similarity above which one word may be a misspelling of the other


def doubts(classes: Sequence[str], label: NDArray[Any], split: NDArray[Any]) -> Iterator[str]:
    """Yield warnings on classes and splits that look misspelled or come from a truncated table.

    Args:
        classes: class names, by id.
        label: (N,) class ids.
        split: (N,) split names.
    """
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault("".join(letter for letter in name.casefold() if letter not in " _-"), []).append(
            name
        )
    for names in alike.values():
        if len(names) > 1:
            yield f"{_quoted(names)} are different classes"
    trained = set(label[split == "train"].tolist())
    untrained = [name for number, name in enumerate(classes) if number not in trained]
    if untrained:
        yield f"no training image shows {_quoted(untrained)}"
    for name, count in sorted(Counter(split.tolist()).items()):
        if name not in SPLITS and _is_slip(name):
            yield f"split {name!r} ({count} images) is none of {', '.join(SPLITS)}: a slip of the pen?"


def _is_slip(name: str) -> bool:
    """Return whether a name is truncated or misspelled; ``test2`` and ``id_test`` are valid names."""
    near = difflib.get_close_matches(name, SPLITS, 1, _NEAR)
    return any(known.startswith(name) for known in SPLITS) or (name.isalpha() and bool(near))


def _quoted(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
