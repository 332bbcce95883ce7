"""Predictions to scores: overall, by region, source and held-out apart, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe import metrics

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import Grouping as Groups
    from geomoe.inference import Predictions

BINS = 15  # of confidence, for the calibration error and the reliability diagram


def score(
    predictions: Predictions,
    regions: Sequence[str],
    held_out: str | None = None,
    *,
    uncounted: Collection[str] = (),
    groupings: Mapping[str, Groups] | None = None,
    bootstrap: int = 1000,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Score predictions; plain JSON values only.

    Args:
        predictions: on one split.
        regions: names, by domain id; samples of an unknown region (-1) count in ``overall`` alone.
        held_out: the region that was left out of training, if any.
        uncounted: regions that are scored and never are the worst (FMoW's "Other").
        groupings: further groups by what they are (a data set's :meth:`groupings`), one id a sample.
        bootstrap: resamples of spatial blocks for each interval; 0: no intervals.
        confidence: of the intervals.

    Returns:
        ``overall`` (see :func:`part`), ``regions`` (name -> part, those with samples), ``worst`` (name
        of the region with the lowest accuracy; its interval is that region's own), ``reliability``,
        ``groups`` (what -> ``parts``: name -> part, and ``worst``), and under a held-out protocol
        ``source`` (all other regions together), ``source_worst`` and ``held_out``; None where there are
        no such samples.
    """
    domain = predictions.domain

    def of(rows: NDArray[np.bool_]) -> dict[str, Any]:
        return part(predictions, rows, bootstrap=bootstrap, confidence=confidence)

    def by_name(names: Sequence[str], ids: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
        return {name: of(ids == number) for number, name in enumerate(names) if (ids == number).any()}

    by_region = by_name(regions, domain)
    sources = [name for name in by_region if name != held_out] if held_out is not None else []
    source = (domain >= 0) & (domain != list(regions).index(held_out)) if sources and held_out else None
    return {
        "overall": of(np.ones(len(predictions), dtype=bool)),
        "worst": _worst(by_region, uncounted),
        "regions": by_region,
        "source": None if source is None else of(source),
        "source_worst": _worst({name: by_region[name] for name in sources}, uncounted),
        "held_out": by_region.get(held_out) if held_out is not None else None,
        "reliability": reliability(predictions),
        "groups": {
            what: {"parts": (parts := by_name(one.names, one.ids)), "worst": _worst(parts, one.uncounted)}
            for what, one in (groupings or {}).items()
        },
    }


def part(
    predictions: Predictions,
    rows: NDArray[np.bool_] | slice = slice(None),
    *,
    bootstrap: int,
    confidence: float,
) -> dict[str, Any]:
    """Scores of some of the samples; default: all of them.

    Returns:
        ``count``, ``blocks`` (spatial blocks with samples), ``accuracy``, ``macro_f1`` (over the classes
        that occur), ``calibration_error`` (15 bins), and the intervals of the first two (None
        without bootstrap, or with fewer than two blocks to draw).
    """
    label, predicted = predictions.label[rows], predictions.predicted[rows]
    block = predictions.block[rows]
    blocks = len(np.unique(block))
    found: dict[str, Any] = {
        "count": len(label),
        "blocks": blocks,
        "accuracy": metrics.accuracy(predicted, label),
        "macro_f1": metrics.macro_f1(predicted, label),
        "calibration_error": metrics.expected_calibration_error(
            predictions.probabilities[rows], label, bins=BINS
        ),
    }
    statistics = {
        "accuracy_interval": metrics.weighted_accuracy(predicted == label),
        "macro_f1_interval": metrics.weighted_macro_f1(predicted, label),
    }
    for name, statistic in statistics.items():
        found[name] = None
        if bootstrap and blocks > 1:
            ends = metrics.block_bootstrap(statistic, block, resamples=bootstrap, confidence=confidence)
            found[name] = [float(ends.low), float(ends.high)]
    return found


def reliability(predictions: Predictions) -> dict[str, list[Any]]:
    """How often the network is right, by how sure it is: 15 bins of equal width.

    Returns:
        ``edges`` (16), ``count``, ``confidence`` and ``accuracy`` (15 each; means, None in empty bins).
    """
    edges = np.linspace(0, 1, BINS + 1)
    sure = predictions.probabilities.max(axis=1)
    which = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, BINS - 1)
    count = np.bincount(which, minlength=BINS)
    sums = [np.bincount(which, weights=values, minlength=BINS) for values in (sure, predictions.correct)]
    means = [
        [float(total / n) if n else None for total, n in zip(totals, count, strict=True)] for totals in sums
    ]
    return {"edges": edges.tolist(), "count": count.tolist(), "confidence": means[0], "accuracy": means[1]}


def _worst(parts: dict[str, dict[str, Any]], uncounted: Collection[str]) -> str | None:
    counted = [name for name in parts if name not in uncounted]
    return min(counted, key=lambda name: parts[name]["accuracy"]) if counted else None
