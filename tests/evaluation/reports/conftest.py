"""Reports as ``evaluate`` makes them, from synthetic predictions."""

from __future__ import annotations

import pytest

from geomoe.evaluation import Report
from geomoe.evaluation.experts import forced_matrices, routing_stats
from geomoe.evaluation.places import places_of
from geomoe.evaluation.reports.values import BlockCKA, Bootstrap, ExpertsReport
from geomoe.evaluation.scores import part, score

REGIONS = ["Asia", "Europe", "Africa"]


def a_report(predictions, held_out=None, algorithm="moge", experts="all", **changes) -> Report:
    """A report as ``evaluate`` makes it, from synthetic predictions."""
    names = [experts, "shared"] if algorithm == "moge" and experts == "all" else [experts]
    inside = None
    if len(names) == 2:
        inside = ExpertsReport(
            num_experts=3,
            top_k=2,
            blocks=(2, 3),
            forced=forced_matrices((2, 3), predictions, ((True,) * 3,) * 2),
            routing=routing_stats((2, 3), predictions["all"], REGIONS),
            cka=tuple(BlockCKA(block, ((1.0, 0.2, None),) * 3, 0.2, 64, "unbiased") for block in (2, 3)),
        )
    facts = {
        "checkpoint": "runs/best.ckpt", "algorithm": algorithm, "seed": 0, "data": "bluemarble",
        "data_hash": "abc", "split": "test", "split_seed": 0, "held_out": held_out, "experts": experts,
        "classes": tuple("abcd"), "regions": tuple(REGIONS),
        "bootstrap": Bootstrap(50, 0.95, "spatial block"),
        "domain_unit": "region", "protocol": "v1", "encoder": "sh", "notes": ("Attention.",),
        "backbone": "vit_quick",
        "options": {"protocol": None, "domain_by": None, "num_environments": None, "num_domains": None,
                    "budget": None},
        "scores": {str(name): score(predictions[name], REGIONS, held_out, bootstrap=50) for name in names},
        "beside": {"pooled": {str(n): part(predictions[n], bootstrap=0, confidence=0.9) for n in names}},
        "places": places_of({str(name): predictions[name] for name in names}),
        "experts_report": inside,
    }  # fmt: skip
    return Report(**{**facts, **changes})


@pytest.fixture
def make_report():
    """What makes a report: of predictions by choice of experts, with changes by name of field."""
    return a_report
