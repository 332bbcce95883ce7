"""Metrics: arrays or tensors in, plain numbers out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geomoe.metrics.classification import (
        GroupScore,
        accuracy,
        expected_calibration_error,
        group_accuracy,
        macro_f1,
        macro_recall,
        worst_group,
    )
    from geomoe.metrics.confusion import ClassCounts, class_counts, confusion_matrix
    from geomoe.metrics.fmow import FMoWScores, fmow_scores
    from geomoe.metrics.groups import worst_name
    from geomoe.metrics.growth import Growth, domain_growth
    from geomoe.metrics.information import MutualInformation, mutual_information
    from geomoe.metrics.intervals import (
        Interval,
        block_bootstrap,
        weighted_accuracy,
        weighted_group_accuracy,
        weighted_macro_f1,
        weighted_worst_group,
    )
    from geomoe.metrics.paired import holm, mean_ranks, paired_test
    from geomoe.metrics.routing import (
        Load,
        dead_experts,
        normalised_entropy,
        routing_entropy,
        routing_load,
    )
    from geomoe.metrics.similarity import expert_cka

# public name -> its module, imported on first use, because metrics of maps do not need torch
_PUBLIC = {
    "ClassCounts": "geomoe.metrics.confusion",
    "FMoWScores": "geomoe.metrics.fmow",
    "GroupScore": "geomoe.metrics.classification",
    "Growth": "geomoe.metrics.growth",
    "Interval": "geomoe.metrics.intervals",
    "Load": "geomoe.metrics.routing",
    "MutualInformation": "geomoe.metrics.information",
    "accuracy": "geomoe.metrics.classification",
    "block_bootstrap": "geomoe.metrics.intervals",
    "class_counts": "geomoe.metrics.confusion",
    "confusion_matrix": "geomoe.metrics.confusion",
    "dead_experts": "geomoe.metrics.routing",
    "domain_growth": "geomoe.metrics.growth",
    "expected_calibration_error": "geomoe.metrics.classification",
    "expert_cka": "geomoe.metrics.similarity",
    "fmow_scores": "geomoe.metrics.fmow",
    "group_accuracy": "geomoe.metrics.classification",
    "holm": "geomoe.metrics.paired",
    "macro_f1": "geomoe.metrics.classification",
    "macro_recall": "geomoe.metrics.classification",
    "mean_ranks": "geomoe.metrics.paired",
    "mutual_information": "geomoe.metrics.information",
    "normalised_entropy": "geomoe.metrics.routing",
    "paired_test": "geomoe.metrics.paired",
    "routing_entropy": "geomoe.metrics.routing",
    "routing_load": "geomoe.metrics.routing",
    "weighted_accuracy": "geomoe.metrics.intervals",
    "weighted_group_accuracy": "geomoe.metrics.intervals",
    "weighted_macro_f1": "geomoe.metrics.intervals",
    "weighted_worst_group": "geomoe.metrics.intervals",
    "worst_group": "geomoe.metrics.classification",
    "worst_name": "geomoe.metrics.groups",
}

__all__ = [
    "ClassCounts",
    "FMoWScores",
    "GroupScore",
    "Growth",
    "Interval",
    "Load",
    "MutualInformation",
    "accuracy",
    "block_bootstrap",
    "class_counts",
    "confusion_matrix",
    "dead_experts",
    "domain_growth",
    "expected_calibration_error",
    "expert_cka",
    "fmow_scores",
    "group_accuracy",
    "holm",
    "macro_f1",
    "macro_recall",
    "mean_ranks",
    "mutual_information",
    "normalised_entropy",
    "paired_test",
    "routing_entropy",
    "routing_load",
    "weighted_accuracy",
    "weighted_group_accuracy",
    "weighted_macro_f1",
    "weighted_worst_group",
    "worst_group",
    "worst_name",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is that of the name asked for
    """Import a public name when it is first used."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module 'geomoe.metrics' has no attribute {name!r}"
    raise AttributeError(msg)
