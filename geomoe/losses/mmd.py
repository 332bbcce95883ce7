"""MMD: maximum mean discrepancy between the domains' features."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.losses.pairs import pairs_of_products
from geomoe.losses.risks import check_members, precise

SCALES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


def squared_mmd(features: Tensor, members: Tensor) -> Tensor:
    """Squared maximum mean discrepancy (Gretton et al., 2012; Li et al., CVPR 2018), in DomainBed's form.

    Mean over the pairs of domains of the biased estimate mean k(P, P) + mean k(Q, Q) - 2 mean k(P, Q), which
    includes each sample with itself; k(a, b) = sum_g exp(-g |a - b|^2), g in :data:`SCALES`.

    Args:
        features: (B, D) pooled features.
        members: (B, G) bool, whether a sample belongs to a domain; samples of no domain are left out.

    Returns:
        () float32 (float64 for float64 features), also under autocast; zero with a gradient if there are
        fewer than two domains. Memory is O(B^2).

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("squared_mmd", members, features)
    with torch.autocast(features.device.type, enabled=False):
        features = precise(features)
        square = _squared_distances(features - features.detach().mean(dim=0))
        kernel = sum((torch.exp(-scale * square) for scale in SCALES), start=torch.zeros_like(square))
        count = members.sum(dim=0)
        share = members.to(features.dtype) / count.clamp(min=1)
        return pairs_of_products(share.T @ kernel @ share, count > 0)


def _squared_distances(features: Tensor) -> Tensor:
    """(B, B); exactly zero on the diagonal, because the sharpest kernel is sensitive to rounding there."""
    length = features.square().sum(dim=1)
    square = (length[:, None] + length[None, :] - 2 * features @ features.T).clamp(min=0)
    return square.masked_fill(torch.eye(len(square), dtype=torch.bool, device=square.device), 0)
