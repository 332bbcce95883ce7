"""Curves over the number of source domains, for rows that differ only in this number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from geomoe.bench.results.values import GrowthRow
from geomoe.metrics import domain_growth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.bench.planning.rows import Row
    from geomoe.bench.results.values import RowResult


def growth_rows(results: Sequence[RowResult], rows: Sequence[Row], score: str) -> tuple[GrowthRow, ...]:
    """A curve for each group of rows that differ only in the number of source domains.

    Args:
        results: rows of the tables.
        rows: for each of them, its row of the plan.
        score: score by which the bench ranks.
    """
    curves: dict[str, dict[int, RowResult]] = {}
    for result, row in zip(results, rows, strict=True):
        if row.domains is not None and score in result.scores and row.twin is None:
            suffix = result.label.removeprefix(row.label)
            curves.setdefault(row.variant + suffix, {})[row.domains] = result
    return tuple(_curve(label, points, score) for label, points in curves.items() if len(points) > 1)


def _curve(label: str, points: dict[int, RowResult], score: str) -> GrowthRow:
    numbers = {number: points[number].scores[score] for number in sorted(points)}
    found = domain_growth({number: [one.mean] for number, one in numbers.items()})
    return GrowthRow(
        label=label,
        scores={str(number): one for number, one in numbers.items()},
        peak=found.peak,
        peak_domains=found.peak_domains,
        last=found.last,
        drop=found.drop,
        relative_drop=found.relative_drop if math.isfinite(found.relative_drop) else None,
        average=found.average,
    )
