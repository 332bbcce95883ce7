"""What is odd about a table of images, yet may be meant: said once, in the log, and left as it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


def doubts(classes: Sequence[str], label: NDArray[Any], split: NDArray[Any]) -> Iterator[str]:
    """Classes and splits that look like a slip of the pen, or like the last line of half a table.

    Args:
        classes: names, by id.
        label: (N,) class ids.
        split: (N,) names.
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
    others = Counter(name for name in split.tolist() if name not in SPLITS)
    if others:
        counts = ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))
        yield f"splits beside train, val and test, which only geomoe evaluate --split reads: {counts}"


def _quoted(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
