"""CORAL: distance between the means and covariances of the domains' features."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.losses.pairs import pairs_of_products, pairs_of_vectors
from geomoe.losses.risks import check_members, precise


def coral_distance(features: Tensor, members: Tensor) -> Tensor:
    """Second-order distance between domains (Sun and Saenko, 2016), in DomainBed's form.

    Mean over the pairs of domains of

        mean_j (mu_P - mu_Q)_j^2 + mean_jk (S_P - S_Q)_jk^2

    with mu the mean and S the unbiased covariance of a domain's features. The paper has no mean term, and
    1/(4 D^2) instead of the 1/D^2 of the mean over jk. Domains with one sample have no covariance and count
    only in the first term. No covariance matrix is computed: <S_P, S_Q> is a sum over squared products of
    samples, which takes B^2 D operations and B^2 numbers, whatever the number of domains.

    Args:
        features: (B, D) pooled features.
        members: (B, G) bool, whether a sample belongs to a domain; samples of no domain are left out.

    Returns:
        () float32 (float64 for float64 features), also under autocast; zero with a gradient if there are
        fewer than two domains.

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("coral_distance", members, features)
    with torch.autocast(features.device.type, enabled=False):
        features = precise(features)
        width = features.shape[1]
        own, count = members.to(features.dtype), members.sum(dim=0)
        means = own.T @ features / count.clamp(min=1)[:, None]
        centred = torch.where(members.any(dim=1, keepdim=True), features - own @ means, 0)
        share = own / (count - 1).clamp(min=1)
        products = share.T @ (centred @ centred.T).square() @ share
    apart = pairs_of_vectors(means, count > 0) / width
    return apart + pairs_of_products(products, count > 1) / width**2
