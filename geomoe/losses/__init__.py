"""Loss terms as pure functions of tensors.

Load balance, expert diversity (CKA), invariance (SupCon), and what compares domains within a class: optimal
transport and MMD; what keeps a mixture of experts apart.
"""

from geomoe.losses.cka import cka_diversity, linear_cka, pairwise_cka
from geomoe.losses.class_pairs import ClassPairs
from geomoe.losses.decomposition import expert_likeness, load_gap, routing_entropy
from geomoe.losses.grouped import grouped_mmd
from geomoe.losses.load_balance import load_balance
from geomoe.losses.sinkhorn import grouped_sinkhorn
from geomoe.losses.supcon import supcon

__all__ = [
    "ClassPairs",
    "cka_diversity",
    "expert_likeness",
    "grouped_mmd",
    "grouped_sinkhorn",
    "linear_cka",
    "load_balance",
    "load_gap",
    "pairwise_cka",
    "routing_entropy",
    "supcon",
]
