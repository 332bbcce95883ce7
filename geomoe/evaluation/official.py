"""Compare our scores with those that the package wilds computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe import metrics
from geomoe.catalogue import source_of
from geomoe.datasets.wilds import compat as wilds_compat
from geomoe.errors import GeomoeError, one_line
from geomoe.evaluation.reports.values import Official, OfficialRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from geomoe.evaluation.reports.values import Scores
    from geomoe.inference import Predictions


def official_scores(
    name: str,
    dataset: Any,  # noqa: ANN401 - a reader of wilds' files, or any data set
    predictions: Mapping[str, Predictions],
    scores: Mapping[str, Scores],
) -> Official | None:
    """Score the same predictions with wilds' own ``eval()``, on wilds' labels and groups.

    Args:
        name: name of the data set in the configuration.
        dataset: the predicted split; its ``folder`` has the tables.
        predictions: choice of experts -> predictions.
        scores: choice of experts -> our scores; see :func:`geomoe.evaluation.scores.score`.

    Returns:
        None if the data set is not part of wilds, or wilds is not installed. Metrics have wilds' names, and
        count as equal if both are the same float32 (wilds rounds to it). If wilds cannot open the data,
        ``problem`` has the reason and there are no rows.
    """
    source = source_of(name)
    if source not in wilds_compat.OFFICIAL or not wilds_compat.installed():
        return None
    try:
        inner = wilds_compat.open_wilds(source, dataset.folder)
        positions = wilds_compat.official_rows(inner, dataset.rows, dataset.labels)
    except (GeomoeError, AssertionError, KeyError, ValueError, OSError) as error:
        return Official("wilds", (), one_line(error))
    rows: list[OfficialRow] = []
    for choice, part in scores.items():
        predicted = predictions[choice].predicted
        theirs = wilds_compat.official_eval(inner, positions, predicted)
        ours = _ours(part, predicted, dataset.labels)
        rows += [
            OfficialRow(
                choice, metric, theirs[metric], value, bool(np.float32(value) == np.float32(theirs[metric]))
            )
            for metric, value in ours.items()
            if metric in theirs
        ]
    return Official("wilds", tuple(rows), None)


def _ours(scores: Scores, predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return our scores under wilds' metric names."""
    overall = scores.overall
    found = {
        "acc_avg": overall.accuracy,
        "recall-macro_all": metrics.macro_recall(predicted, labels),
        "F1-macro_all": overall.macro_f1,
    }
    groups = {what: (one.parts, one.worst) for what, one in scores.groups.items()}
    other = "year" if "region" in groups else "region"  # the kind of the domains; the other one is a grouping
    if groups:
        groups[other] = (scores.regions, scores.worst)
    for what, (parts, worst) in groups.items():
        found |= {f"acc_{what}:{name}": part.accuracy for name, part in parts.items()}
        if worst is not None:
            found[f"acc_worst_{what}"] = parts[worst].accuracy
    return found
