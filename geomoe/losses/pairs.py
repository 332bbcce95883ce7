"""Mean squared distance over pairs of domains, in closed form: no loop over pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def pairs_of_vectors(vectors: Tensor, present: Tensor) -> Tensor:
    """Mean of |v_i - v_j|^2 over the pairs i < j of present rows: 2 / (P - 1) sum_i |v_i - mean|^2.

    Args:
        vectors: (G, K).
        present: (G,) bool: the rows to use, P of them.

    Returns:
        () mean; zero with a gradient if fewer than two are present.
    """
    mean = torch.where(present[:, None], vectors, 0).sum(dim=0) / present.sum().clamp(min=1)
    square = (vectors - mean).square().sum(dim=1)
    return torch.where(present, square, 0).sum() * 2 / (present.sum() - 1).clamp(min=1)


def pairs_of_products(products: Tensor, present: Tensor) -> Tensor:
    """The same as :func:`pairs_of_vectors`, from the inner products of the vectors.

    Args:
        products: (G, G) inner products <v_i, v_j>; rows and columns that are not present are not read.
        present: (G,) bool: the vectors to use.

    Returns:
        () mean; zero with a gradient if fewer than two are present.
    """
    count = present.sum()
    own = torch.where(present, products.diagonal(), 0).sum()
    every = torch.where(present[:, None] & present[None, :], products, 0).sum()
    found = (own - every / count.clamp(min=1)) * 2 / (count - 1).clamp(min=1)
    return torch.where(count > 1, found, 0 * found)
