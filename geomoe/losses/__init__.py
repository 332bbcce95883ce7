"""Loss terms as pure functions of tensors.

For experts: load balance, diversity (CKA), invariance (SupCon), regularisers of MESSI's mixture. For domains:
penalties on risks, distances between features, variances of gradients; and, within a class, optimal transport
and MMD for all experts at once.
"""

from geomoe.losses.cka import cka_diversity, linear_cka, pairwise_cka
from geomoe.losses.class_pairs import ClassPairs
from geomoe.losses.coral import coral_distance
from geomoe.losses.decomposition import expert_likeness, load_gap, routing_entropy
from geomoe.losses.fishr import fishr_penalty, gradient_variances
from geomoe.losses.grouped import grouped_mmd
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
from geomoe.losses.sinkhorn import grouped_sinkhorn
from geomoe.losses.soft_domains import soft_mmd
from geomoe.losses.supcon import supcon
from geomoe.losses.token_balance import codebook_spread, smooth_load, squared_variation

__all__ = [
    "ClassPairs",
    "cka_diversity",
    "codebook_spread",
    "coral_distance",
    "domain_means",
    "expert_likeness",
    "fishr_penalty",
    "gradient_variances",
    "grouped_mmd",
    "grouped_sinkhorn",
    "irm_penalty",
    "irm_slopes",
    "linear_cka",
    "load_balance",
    "load_gap",
    "mean_where",
    "pairwise_cka",
    "risk_matching",
    "routing_entropy",
    "smooth_load",
    "soft_mmd",
    "squared_mmd",
    "squared_variation",
    "supcon",
    "variance_where",
]
