"""The official metrics of FMoW: average, worst region, and each year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from geomoe.metrics.arrays import Values
from geomoe.metrics.classification import GroupScore, accuracy, group_accuracy
from geomoe.metrics.groups import worst_name


class FMoWScores(NamedTuple):
    """WILDS' official numbers for FMoW.

    Attributes:
        average: accuracy over all samples (``acc_avg``).
        worst_region: name and score of the region with the lowest accuracy, without Other
            (``acc_worst_region``); None if no sample is in a counted region.
        worst_year: the same for the years (``acc_worst_year``).
        regions: every region's score, including Other.
        years: every year's score.
    """

    average: float
    worst_region: tuple[str, GroupScore] | None
    worst_year: tuple[str, GroupScore] | None
    regions: dict[str, GroupScore]
    years: dict[str, GroupScore]


def fmow_scores(
    predictions: Values,
    labels: Values,
    regions: Values,
    years: Values,
    region_names: Sequence[str],
    year_names: Sequence[str],
    uncounted: Sequence[str] = ("Other",),
) -> FMoWScores:
    """Score predictions as ``FMoWDataset.eval`` of WILDS does.

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.
        regions: (n,) positions in ``region_names``; negative: no region.
        years: (n,) positions in ``year_names``; negative: no year.
        region_names: names of the regions.
        year_names: names of the years.
        uncounted: regions that are never the worst one.

    Raises:
        InputError: shapes that do not fit, no samples, ids that are not integers or have no name.
    """
    by_region = group_accuracy(predictions, labels, regions, region_names)
    by_year = group_accuracy(predictions, labels, years, year_names)
    return FMoWScores(
        accuracy(predictions, labels),
        _worst(by_region, uncounted),
        _worst(by_year),
        by_region,
        by_year,
    )


def _worst(scores: dict[str, GroupScore], uncounted: Sequence[str] = ()) -> tuple[str, GroupScore] | None:
    name = worst_name({name: score.accuracy for name, score in scores.items()}, uncounted)
    return None if name is None else (name, scores[name])
