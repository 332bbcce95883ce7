"""Rows and images that are left out: the reasons, and how many are tolerated."""

from __future__ import annotations

from typing import NamedTuple

from geomoe.errors import DataError
from geomoe.support.text import counted


class Skip(NamedTuple):
    """A row or image that is skipped.

    Attributes:
        row: row of the table, counted from 1 after the header without empty lines; 0: not from a table.
        filename: name as given.
        reason: short explanation.
    """

    row: int
    filename: str
    reason: str


def tolerance(total: int) -> int:
    """Return how many rows may be skipped: 1 %, at least 5, but at most a fifth of all rows."""
    return min(max(5, total // 100), total // 5)


def refuse_many(skipped: list[Skip], total: int, where: object) -> None:
    """Refuse a table with too many unusable rows: its layout was probably misread.

    Raises:
        DataError: more than :func:`tolerance` rows are skipped.
    """
    if len(skipped) > tolerance(total):
        kinds: dict[str, list[Skip]] = {}
        for skip in skipped:
            kinds.setdefault(skip.reason.partition(":")[0], []).append(skip)
        found = max(kinds.values(), key=len)
        first = found[0]
        msg = (
            f"{where}: {len(skipped)} of {counted(total, 'row')} cannot be used (up to {tolerance(total)} "
            f"would be skipped and listed); {len(found)} like {_named(first)}: "
            f"{first.reason}"
        )
        raise DataError(msg)


def _named(skip: Skip) -> str:
    name = skip.filename or "no filename"
    return f"row {skip.row} ({name})" if skip.row else name
