"""Files with the same bytes: in two splits, or with two classes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geomoe.checking.places import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

_MOST = 3  # examples


def look_at_copies(parts: Mapping[str, LabelledImages]) -> Iterator[Finding]:
    """Yield a fault for two splits that share files, byte for byte, and a warning for copies of two classes.

    A model may have memorised a copy under another name, whatever its place is. Data sets without hashes of
    the contents of their files are skipped.

    Args:
        parts: name -> split; all of one data set.
    """
    for first, second in itertools.combinations(parts, 2):
        one, other = parts[first], parts[second]
        if {first, second} in one.overlapping or one.contents is None or other.contents is None:
            continue
        found = _first_at(one.contents)
        again = [k for k, content in enumerate(other.contents.tolist()) if content in found]
        if again:
            pairs = [f"{other.name_of(k)} is {one.name_of(found[other.contents[k]])}" for k in again[:_MOST]]
            are = "1 image of {} is a copy" if len(again) == 1 else f"{len(again)} images of {{}} are copies"
            text = f"{are.format(second)} of images of {first}, byte for byte"
            hint = "keep one of each, or give copies one value in a column group"
            yield Finding("fault", f"{first}, {second}", f"{text}: {_listed(pairs, len(again))}; {hint}")
    for name, data in parts.items():
        if data.contents is not None:
            yield from _two_classes(name, data)


def _two_classes(name: str, data: LabelledImages) -> Iterator[Finding]:
    frame = pd.DataFrame({"content": data.contents, "label": data.labels})
    several = frame.groupby("content")["label"].transform("nunique").to_numpy() > 1
    rows = np.flatnonzero(several)
    if len(rows):
        shown = [f"{data.name_of(k)} ({data.classes[data.labels[k]]})" for k in rows[:_MOST]]
        text = f"{len(rows)} images are copies of one another and have different classes"
        yield Finding("warning", name, f"{text}: {_listed(shown, len(rows))}")


def _first_at(contents: NDArray[Any]) -> dict[Any, int]:
    """Return each content and the first position that has it."""
    return {content: k for k, content in reversed(list(enumerate(contents.tolist())))}


def _listed(shown: list[str], count: int) -> str:
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(shown) + more
