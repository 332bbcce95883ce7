"""The single definition of the worst group."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping


def worst_name(accuracy: Mapping[str, float], uncounted: Collection[str] = ()) -> str | None:
    """The group with the lowest accuracy; the first if tied.

    Args:
        accuracy: name -> accuracy; NaN: the group has no samples, and is ignored.
        uncounted: names that are never the worst, such as WILDS' region "Other".

    Returns:
        Its name; None if no group is left.
    """
    left = [name for name, value in accuracy.items() if name not in uncounted and not math.isnan(value)]
    return min(left, key=lambda name: accuracy[name], default=None)
