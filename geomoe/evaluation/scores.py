"""Score predictions: overall, by region, for source and held-out regions, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe import metrics
from geomoe.evaluation.reports.values import ClassScore, Confusion, Groups, Part, Reliability, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import Grouping
    from geomoe.evaluation.reports.values import Interval
    from geomoe.inference import Predictions

BINS = 15  # of confidence, for the calibration error and the reliability diagram


def score(
    predictions: Predictions,
    regions: Sequence[str],
    held_out: str | None = None,
    *,
    uncounted: Collection[str] = (),
    groupings: Mapping[str, Grouping] | None = None,
    bootstrap: int = 1000,
    confidence: float = 0.95,
) -> Scores:
    """Score predictions.

    Args:
        predictions: predictions on one split.
        regions: names, by domain id; samples of an unknown region (-1) count only in ``overall``.
        held_out: the region that was left out of training, if any.
        uncounted: regions that are scored but never count as the worst (FMoW's "Other").
        groupings: further groupings by kind (a data set's :meth:`groupings`), with one id per sample.
        bootstrap: resamples of spatial blocks for each interval; 0: no intervals.
        confidence: confidence level of the intervals.

    Returns:
        Scores overall, by region (with samples), by further group, and under a held-out protocol separately
        for source and held-out regions; the interval of the worst region is that region's own interval.
    """
    domain = predictions.domain

    def of(rows: NDArray[np.bool_]) -> Part:
        return part(predictions, rows, bootstrap=bootstrap, confidence=confidence)

    def by_name(names: Sequence[str], ids: NDArray[np.int64]) -> dict[str, Part]:
        return {name: of(ids == number) for number, name in enumerate(names) if (ids == number).any()}

    by_region = by_name(regions, domain)
    sources = [name for name in by_region if name != held_out] if held_out is not None else []
    source = (domain >= 0) & (domain != list(regions).index(held_out)) if sources and held_out else None
    grouped = {what: by_name(one.names, one.ids) for what, one in (groupings or {}).items()}
    apart = domain == list(regions).index(held_out) if held_out in by_region else None
    return Scores(
        overall=of(np.ones(len(predictions), dtype=bool)),
        worst=_worst(by_region, uncounted),
        regions=by_region,
        source=None if source is None else of(source),
        source_worst=_worst({name: by_region[name] for name in sources}, uncounted),
        held_out=by_region.get(held_out) if held_out is not None else None,
        reliability=reliability(predictions),
        groups={
            what: Groups(grouped[what], _worst(grouped[what], one.uncounted))
            for what, one in (groupings or {}).items()
        },
        confusion=confusion(predictions),
        held_out_confusion=None if apart is None else confusion(predictions, apart),
    )


def part(
    predictions: Predictions,
    rows: NDArray[np.bool_] | slice = slice(None),
    *,
    bootstrap: int,
    confidence: float,
) -> Part:
    """Score some of the samples; default: all. With fewer than two blocks there is no interval."""
    label, predicted = predictions.label[rows], predictions.predicted[rows]
    block = predictions.block[rows]
    blocks = len(np.unique(block))

    def interval(statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Interval | None:
        if not bootstrap or blocks < 2:
            return None
        ends = metrics.block_bootstrap(statistic, block, resamples=bootstrap, confidence=confidence)
        return float(ends.low), float(ends.high)

    probabilities = predictions.probabilities[rows]
    return Part(
        count=len(label),
        blocks=blocks,
        accuracy=metrics.accuracy(predicted, label),
        macro_f1=metrics.macro_f1(predicted, label),
        calibration_error=metrics.expected_calibration_error(probabilities, label, bins=BINS),
        accuracy_interval=interval(metrics.weighted_accuracy(predicted == label)),
        macro_f1_interval=interval(metrics.weighted_macro_f1(predicted, label)),
    )


def reliability(predictions: Predictions) -> Reliability:
    """Compute accuracy by confidence in 15 bins of equal width; None in empty bins."""
    edges = np.linspace(0, 1, BINS + 1)
    sure = predictions.probabilities.max(axis=1)
    which = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, BINS - 1)
    count = np.bincount(which, minlength=BINS)
    sums = [np.bincount(which, weights=values, minlength=BINS) for values in (sure, predictions.correct)]
    means = [
        tuple(float(total / n) if n else None for total, n in zip(totals, count, strict=True))
        for totals in sums
    ]
    return Reliability(tuple(edges.tolist()), tuple(count.tolist()), means[0], means[1])


def confusion(predictions: Predictions, rows: NDArray[np.bool_] | slice = slice(None)) -> Confusion:
    """Count labels against answers of some of the samples; default: all."""
    classes = predictions.probabilities.shape[1]
    matrix = metrics.confusion_matrix(predictions.predicted[rows], predictions.label[rows], classes)
    label, answer = np.nonzero(matrix)
    found = metrics.class_counts(matrix)
    counts = zip(found.labelled.tolist(), found.answered.tolist(), found.correct.tolist(), strict=True)
    shares = zip(*(_or_none(share) for share in (found.precision, found.recall, found.f1)), strict=True)
    return Confusion(
        tuple(ClassScore(*count, *share) for count, share in zip(counts, shares, strict=True)),
        *(tuple(column.tolist()) for column in (label, answer, matrix[label, answer])),
    )


def _or_none(shares: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(share) else share for share in shares.tolist()]


def _worst(parts: Mapping[str, Part], uncounted: Collection[str]) -> str | None:
    return metrics.worst_name({name: part.accuracy for name, part in parts.items()}, uncounted)
