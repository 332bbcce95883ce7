"""Loss terms as pure functions of tensors: of experts (load balance, CKA, SupCon), and between domains."""

from geomoe.losses.cka import cka_diversity, linear_cka, pairwise_cka
from geomoe.losses.coral import coral_distance
from geomoe.losses.fishr import fishr_penalty, gradient_variances
from geomoe.losses.load_balance import load_balance
from geomoe.losses.mmd import squared_mmd
from geomoe.losses.risks import (
    domain_means,
    irm_penalty,
    irm_slopes,
    mean_where,
    risk_matching,
    variance_where,
)
from geomoe.losses.supcon import supcon

__all__ = [
    "cka_diversity",
    "coral_distance",
    "domain_means",
    "fishr_penalty",
    "gradient_variances",
    "irm_penalty",
    "irm_slopes",
    "linear_cka",
    "load_balance",
    "mean_where",
    "pairwise_cka",
    "risk_matching",
    "squared_mmd",
    "supcon",
    "variance_where",
]
