"""Metrics: arrays or tensors in, plain numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.support import on_first_use

if TYPE_CHECKING:
    from geomoe.metrics.agreement import Agreement, routing_agreement
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
        lowest_accuracy,
        mean_f1,
        weighted_accuracy,
        weighted_group_accuracy,
        weighted_macro_f1,
        weighted_worst_group,
    )
    from geomoe.metrics.paired import holm, mean_ranks, paired_test
    from geomoe.metrics.permutation import Null, permuted_information
    from geomoe.metrics.probe import DomainProbe, domain_probe
    from geomoe.metrics.prototypes import (
        class_routing,
        domain_divergences,
        domain_routing,
        load_deviation,
        routing_divergence,
    )
    from geomoe.metrics.routing import (
        Load,
        dead_experts,
        normalised_entropy,
        routing_entropy,
        routing_load,
    )
    from geomoe.metrics.similarity import expert_cka
    from geomoe.metrics.slots import (
        Slots,
        energy_distance,
        match_experts,
        permuted_correlation,
        responsibility_correlation,
        selected_slots,
        slot_overlap,
        slots_of,
    )
    from geomoe.metrics.specialisation import effective_ranks, expert_cosines

# public name -> its module, imported on first use, because metrics of maps do not need torch
_PUBLIC = {
    "Agreement": "geomoe.metrics.agreement",
    "ClassCounts": "geomoe.metrics.confusion",
    "DomainProbe": "geomoe.metrics.probe",
    "FMoWScores": "geomoe.metrics.fmow",
    "GroupScore": "geomoe.metrics.classification",
    "Growth": "geomoe.metrics.growth",
    "Interval": "geomoe.metrics.intervals",
    "Load": "geomoe.metrics.routing",
    "MutualInformation": "geomoe.metrics.information",
    "Null": "geomoe.metrics.permutation",
    "Slots": "geomoe.metrics.slots",
    "accuracy": "geomoe.metrics.classification",
    "block_bootstrap": "geomoe.metrics.intervals",
    "class_counts": "geomoe.metrics.confusion",
    "class_routing": "geomoe.metrics.prototypes",
    "confusion_matrix": "geomoe.metrics.confusion",
    "dead_experts": "geomoe.metrics.routing",
    "domain_divergences": "geomoe.metrics.prototypes",
    "domain_growth": "geomoe.metrics.growth",
    "domain_probe": "geomoe.metrics.probe",
    "domain_routing": "geomoe.metrics.prototypes",
    "effective_ranks": "geomoe.metrics.specialisation",
    "energy_distance": "geomoe.metrics.slots",
    "expected_calibration_error": "geomoe.metrics.classification",
    "expert_cka": "geomoe.metrics.similarity",
    "expert_cosines": "geomoe.metrics.specialisation",
    "fmow_scores": "geomoe.metrics.fmow",
    "group_accuracy": "geomoe.metrics.classification",
    "load_deviation": "geomoe.metrics.prototypes",
    "lowest_accuracy": "geomoe.metrics.intervals",
    "macro_f1": "geomoe.metrics.classification",
    "macro_recall": "geomoe.metrics.classification",
    "match_experts": "geomoe.metrics.slots",
    "mean_f1": "geomoe.metrics.intervals",
    "mutual_information": "geomoe.metrics.information",
    "normalised_entropy": "geomoe.metrics.routing",
    "permuted_correlation": "geomoe.metrics.slots",
    "permuted_information": "geomoe.metrics.permutation",
    "responsibility_correlation": "geomoe.metrics.slots",
    "routing_agreement": "geomoe.metrics.agreement",
    "routing_divergence": "geomoe.metrics.prototypes",
    "holm": "geomoe.metrics.paired",
    "mean_ranks": "geomoe.metrics.paired",
    "paired_test": "geomoe.metrics.paired",
    "routing_entropy": "geomoe.metrics.routing",
    "routing_load": "geomoe.metrics.routing",
    "selected_slots": "geomoe.metrics.slots",
    "slot_overlap": "geomoe.metrics.slots",
    "slots_of": "geomoe.metrics.slots",
    "weighted_accuracy": "geomoe.metrics.intervals",
    "weighted_group_accuracy": "geomoe.metrics.intervals",
    "weighted_macro_f1": "geomoe.metrics.intervals",
    "weighted_worst_group": "geomoe.metrics.intervals",
    "worst_group": "geomoe.metrics.classification",
    "worst_name": "geomoe.metrics.groups",
}

__all__ = [
    "Agreement",
    "ClassCounts",
    "DomainProbe",
    "FMoWScores",
    "GroupScore",
    "Growth",
    "Interval",
    "Load",
    "MutualInformation",
    "Null",
    "Slots",
    "accuracy",
    "block_bootstrap",
    "class_counts",
    "class_routing",
    "confusion_matrix",
    "dead_experts",
    "domain_divergences",
    "domain_growth",
    "domain_probe",
    "domain_routing",
    "effective_ranks",
    "energy_distance",
    "expected_calibration_error",
    "expert_cka",
    "expert_cosines",
    "fmow_scores",
    "group_accuracy",
    "holm",
    "load_deviation",
    "lowest_accuracy",
    "macro_f1",
    "macro_recall",
    "match_experts",
    "mean_f1",
    "mean_ranks",
    "mutual_information",
    "normalised_entropy",
    "paired_test",
    "permuted_correlation",
    "permuted_information",
    "responsibility_correlation",
    "routing_agreement",
    "routing_divergence",
    "routing_entropy",
    "routing_load",
    "selected_slots",
    "slot_overlap",
    "slots_of",
    "weighted_accuracy",
    "weighted_group_accuracy",
    "weighted_macro_f1",
    "weighted_worst_group",
    "worst_group",
    "worst_name",
]

__getattr__ = on_first_use(__name__, _PUBLIC)
