"""Error texts for unknown names, with the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` for the nearest known word, or nothing."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""


def unknown(key: str, what: str, value: str, known: Sequence[str]) -> str:
    """One line that names the wrong value, the nearest right one, and all of them."""
    return f"{key}: no {what} {value!r}{nearest(value, known)} (known: {', '.join(known)})"
