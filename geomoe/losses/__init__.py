"""Loss terms as pure functions of tensors.

Load balance, expert diversity (CKA), invariance (SupCon), and what compares domains within a class: optimal
transport.
"""

from geomoe.losses.cka import cka_diversity, linear_cka, pairwise_cka
from geomoe.losses.class_pairs import ClassPairs
from geomoe.losses.load_balance import load_balance
from geomoe.losses.sinkhorn import grouped_sinkhorn
from geomoe.losses.supcon import supcon

__all__ = [
    "ClassPairs",
    "cka_diversity",
    "grouped_sinkhorn",
    "linear_cka",
    "load_balance",
    "pairwise_cka",
    "supcon",
]
