"""Loss terms as pure functions of tensors: load balance, expert diversity (CKA), invariance (SupCon)."""

from geomoe.losses.cka import cka_diversity, linear_cka, pairwise_cka
from geomoe.losses.load_balance import load_balance
from geomoe.losses.supcon import supcon

__all__ = ["cka_diversity", "linear_cka", "load_balance", "pairwise_cka", "supcon"]
