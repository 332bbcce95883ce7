"""Judgement in numbers: arrays or tensors in, plain numbers out."""

from geomoe.metrics.classification import (
    GroupScore,
    accuracy,
    expected_calibration_error,
    group_accuracy,
    macro_f1,
    macro_recall,
    worst_group,
)
from geomoe.metrics.fmow import FMoWScores, fmow_scores
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
from geomoe.metrics.routing import (
    Entropy,
    Load,
    dead_experts,
    routing_entropy,
    routing_load,
)
from geomoe.metrics.similarity import expert_cka

__all__ = [
    "Entropy",
    "FMoWScores",
    "GroupScore",
    "Growth",
    "Interval",
    "Load",
    "MutualInformation",
    "accuracy",
    "block_bootstrap",
    "dead_experts",
    "domain_growth",
    "expected_calibration_error",
    "expert_cka",
    "fmow_scores",
    "group_accuracy",
    "macro_f1",
    "macro_recall",
    "mutual_information",
    "routing_entropy",
    "routing_load",
    "weighted_accuracy",
    "weighted_group_accuracy",
    "weighted_macro_f1",
    "weighted_worst_group",
    "worst_group",
]
